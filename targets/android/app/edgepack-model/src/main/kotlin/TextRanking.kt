package edgepack.edgepack_model

import android.content.Context
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.withContext

/** A passage: its place in the list that was given, its text, and its score, larger for a better answer. */
data class Ranked(val index: Int, val score: Float, val text: String)

/**
 * @model@: a score for a query with each passage; pairs of more than @max_length@ tokens are cut.
 *
 * Threads may share one. Close it to give its memory back.
 */
class TextRanking(bundle: Bundle, threads: Int = bundle.threads) : AutoCloseable {
    private val answer = bundle.processing.getJSONObject("answer")
    private val texts = Texts(bundle, bundle.processing.getJSONObject("text"))
    private val model = OnnxModel(bundle, "model", threads)

    /**
     * Returns the [topK] best passages with their scores, best first; of equal ones the earlier comes first.
     *
     * Throws [ModelException].
     */
    suspend fun rank(query: String, passages: List<String>, topK: Int = passages.size): List<Ranked> =
        predict(passages.map { query to it })
            .mapIndexed { index, score -> Ranked(index, score, passages[index]) }
            .sortedByDescending { it.score }
            .take(topK)

    /** Returns the score of each pair of a query and a passage. Throws [ModelException]. */
    suspend fun predict(pairs: List<Pair<String, String>>): List<Float> = withContext(Dispatchers.Default) {
        pairs.map { (query, passage) ->
            ensureActive()
            labels(model.run(inputs(query, passage), "logits").values, answer).first().score
        }
    }

    override fun close() {
        model.close()
        texts.close()
    }

    internal fun inputs(query: String, passage: String): Map<String, Tensor> =
        texts.inputs(texts.encode(query, passage))

    companion object {
        /** Opens the bundle in the app's assets; [progress] 0..1 is about copying them, at the first start alone. */
        suspend fun load(context: Context, progress: (Float) -> Unit = {}): TextRanking =
            withContext(Dispatchers.IO) { TextRanking(installed(context, progress)) }
    }
}
