package edgepack.edgepack_model

import android.content.Context
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.withContext

/**
 * @model@: @labels@ labels of texts, or of pairs of texts; what is longer than @max_length@ tokens is cut.
 *
 * Threads may share one. Close it to give its memory back.
 */
class TextClassification(bundle: Bundle, threads: Int = bundle.threads) : AutoCloseable {
    private val answer = bundle.processing.getJSONObject("answer")
    private val texts = Texts(bundle, bundle.processing.getJSONObject("text"))
    private val model = OnnxModel(bundle, "model", threads)

    /** The names of all labels, in the model's order. */
    val labels: List<String> = answer.getJSONArray("labels").strings()

    /** Returns the labels of each text with their scores, best first. Throws [ModelException]. */
    suspend fun classify(texts: List<String>): List<List<Label>> = withContext(Dispatchers.Default) {
        texts.map { text ->
            ensureActive()
            scored(text, null)
        }
    }

    /** Returns the labels of a pair of texts, such as a premise and a hypothesis, best first. */
    suspend fun classify(first: String, second: String): List<Label> =
        withContext(Dispatchers.Default) { scored(first, second) }

    override fun close() {
        model.close()
        texts.close()
    }

    internal fun inputs(first: String, second: String? = null): Map<String, Tensor> =
        texts.inputs(texts.encode(first, second))

    private fun scored(first: String, second: String?): List<Label> =
        labels(model.run(inputs(first, second), "logits").values, answer)

    companion object {
        /** Opens the bundle in the app's assets; [progress] 0..1 is about copying them, at the first start alone. */
        suspend fun load(context: Context, progress: (Float) -> Unit = {}): TextClassification =
            withContext(Dispatchers.IO) { TextClassification(installed(context, progress)) }
    }
}
