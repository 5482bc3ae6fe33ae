package edgepack.edgepack_model

import android.content.Context
import kotlin.math.abs
import kotlin.math.sqrt
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.withContext

/**
 * @model@: texts as vectors of @width@ numbers; of a text of more than @max_length@ tokens the end is left out.
 *
 * Threads may share one. Close it to give its memory back.
 */
class TextEmbedding(bundle: Bundle, threads: Int = bundle.threads) : AutoCloseable {
    private val text = bundle.processing.getJSONObject("text")
    private val answer = bundle.processing.getJSONObject("answer")
    private val own = Prompts(text)
    private val texts = Texts(bundle, text)
    private val model = OnnxModel(bundle, "model", threads)

    /** The prompts that the model was trained to find in front of texts, by name. */
    val prompts: Map<String, String> get() = own.byName

    /**
     * Returns a FloatArray of @width@ numbers for each text.
     *
     * [promptName] is one of [prompts], put in front of each text; [prompt] is a text of your own, "" for none; by
     * default it is the model's own choice. Throws [ModelException]. Cancelling the coroutine ends it after a text.
     */
    suspend fun embed(
        texts: List<String>, promptName: String? = null, prompt: String? = null,
    ): List<FloatArray> = withContext(Dispatchers.Default) {
        val start = own.chosen(promptName, prompt)
        texts.map { text ->
            ensureActive()
            model.run(inputs(text, start), answer.getString("output")).values
        }
    }

    /** Returns how alike two vectors are, by @similarity@: larger is more alike. */
    fun similarity(a: FloatArray, b: FloatArray): Float {
        if (a.size != b.size) refused("vectors of ${a.size} and ${b.size} numbers")
        return when (val measure = answer.getString("similarity")) {
            "cosine" -> dot(a, b) / (sqrt(dot(a, a)) * sqrt(dot(b, b)))
            "dot" -> dot(a, b)
            "euclidean" -> -sqrt(a.indices.sumOf { ((a[it] - b[it]) * (a[it] - b[it])).toDouble() }.toFloat())
            "manhattan" -> -a.indices.sumOf { abs(a[it] - b[it]).toDouble() }.toFloat()
            else -> damaged("edgepack.json names the similarity $measure")
        }
    }

    override fun close() {
        model.close()
        texts.close()
    }

    internal fun inputs(text: String, before: String = own.chosen()): Map<String, Tensor> =
        texts.inputs(texts.encode(before + text))

    private fun dot(a: FloatArray, b: FloatArray): Float = a.indices.sumOf { (a[it] * b[it]).toDouble() }.toFloat()

    companion object {
        /** Opens the bundle in the app's assets; [progress] 0..1 is about copying them, at the first start alone. */
        suspend fun load(context: Context, progress: (Float) -> Unit = {}): TextEmbedding =
            withContext(Dispatchers.IO) { TextEmbedding(installed(context, progress)) }
    }
}
