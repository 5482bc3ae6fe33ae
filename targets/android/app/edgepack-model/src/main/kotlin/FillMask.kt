package edgepack.edgepack_model

import android.content.Context
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.withContext

/** A [token] for the mask, its probability, and the text with it. */
data class Filled(val token: String, val score: Float, val text: String)

/**
 * @model@: the likeliest tokens in the place of a mask; texts have at most @max_length@ tokens.
 *
 * Threads may share one. Close it to give its memory back.
 */
class FillMask(bundle: Bundle, threads: Int = bundle.threads) : AutoCloseable {
    private val answer = bundle.processing.getJSONObject("answer")
    private val texts = Texts(bundle, bundle.processing.getJSONObject("text"))
    private val model = OnnxModel(bundle, "model", threads)

    /** What stands for the token that is sought. */
    val mask: String = answer.getString("mask_token")

    /** Returns the [top] tokens for the first mask of each text, best first. Throws [ModelException]. */
    suspend fun fill(texts: List<String>, top: Int = 5): List<List<Filled>> = withContext(Dispatchers.Default) {
        texts.map { text ->
            ensureActive()
            filled(text, top)
        }
    }

    override fun close() {
        model.close()
        texts.close()
    }

    internal fun inputs(text: String): Map<String, Tensor> = texts.inputs(texts.encode(text))

    private fun filled(text: String, top: Int): List<Filled> {
        val encoding = texts.encode(text)
        val places = encoding.ids.indices.filter { encoding.ids[it] == answer.getLong("mask_id") }
        val place = places.firstOrNull() ?: refused("the text has no $mask")
        val logits = model.run(texts.inputs(encoding), "logits").values
        val width = logits.size / encoding.ids.size
        val scores = softmax(logits.copyOfRange(place * width, (place + 1) * width))
        return scores.indices.sortedByDescending { scores[it] }.take(top).map { token ->
            val ids = encoding.ids.copyOf().also { it[place] = token.toLong() }
            val word = texts.decode(longArrayOf(token.toLong()), special = true)
            Filled(word, scores[token], texts.decode(ids, special = places.size > 1))
        }
    }

    companion object {
        /** Opens the bundle in the app's assets; [progress] 0..1 is about copying them, at the first start alone. */
        suspend fun load(context: Context, progress: (Float) -> Unit = {}): FillMask =
            withContext(Dispatchers.IO) { FillMask(installed(context, progress)) }
    }
}
