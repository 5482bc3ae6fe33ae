package edgepack.edgepack_model

import kotlin.math.exp
import org.json.JSONObject

/** A class and its [score]: a probability, or a regression's value. */
data class Label(val name: String, val score: Float)

/** The labels of one row of [logits], best first; [answer] is the record of that name in edgepack.json. */
internal fun labels(logits: FloatArray, answer: JSONObject): List<Label> {
    val names = answer.getJSONArray("labels").strings()
    if (names.size != logits.size) damaged("edgepack.json names ${names.size} labels; the model scores ${logits.size}")
    val scores = when (val problem = answer.getString("problem_type")) {
        "regression" -> logits
        "multi_label_classification" -> FloatArray(logits.size) { (1 / (1 + exp(-logits[it].toDouble()))).toFloat() }
        "single_label_classification" -> softmax(logits)
        else -> damaged("edgepack.json names the problem type $problem")
    }
    return names.indices.map { Label(names[it], scores[it]) }.sortedByDescending { it.score }
}

/** Probabilities of logits. */
internal fun softmax(logits: FloatArray): FloatArray {
    val largest = logits.max()
    val weights = DoubleArray(logits.size) { exp((logits[it] - largest).toDouble()) }
    val total = weights.sum()
    return FloatArray(logits.size) { (weights[it] / total).toFloat() }
}
