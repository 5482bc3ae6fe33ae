package edgepack.edgepack_model

import ai.djl.huggingface.tokenizers.Encoding
import android.content.Context
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.withContext

/** A span of a context: `context.substring(start, end)`, with its probability; empty where the context is empty. */
data class Answer(val text: String, val start: Int, val end: Int, val score: Float)

/**
 * @model@: the span of a context that answers a question; longer contexts are read in windows of @max_length@ tokens.
 *
 * Threads may share one. Close it to give its memory back.
 */
class QuestionAnswering(bundle: Bundle, threads: Int = bundle.threads) : AutoCloseable {
    private val text = bundle.processing.getJSONObject("text")
    private val room = text.getInt("max_length")
    private val stride = minOf(text.getInt("stride"), room / 2)
    private val longest = bundle.processing.getJSONObject("answer").getInt("max_answer_length")
    private val texts = Texts(bundle, text, limited = false)
    private val model = OnnxModel(bundle, "model", threads)

    /** Returns the span of [context] with the largest probability. Throws [ModelException]. */
    suspend fun answer(question: String, context: String): Answer = withContext(Dispatchers.Default) {
        val whole = checked(context)
        windows(question, whole).map { window ->
            ensureActive()
            best(window, whole)
        }.maxByOrNull { it.score }!!
    }

    override fun close() {
        model.close()
        texts.close()
    }

    internal fun inputs(question: String, context: String): Map<String, Tensor> =
        windows(question, context).first().let { window -> window.inputs }

    /** A question with a part of a context: the tokens' places in the encoding of both, and which are the context's. */
    private inner class Window(val encoding: Encoding, val places: List<Int>, val inside: List<Boolean>) {
        val inputs: Map<String, Tensor> = text.getJSONArray("inputs").strings().associateWith { name ->
            val all = when (name) {
                "input_ids" -> encoding.ids
                "attention_mask" -> encoding.attentionMask
                else -> encoding.typeIds
            }
            Longs(longArrayOf(1, places.size.toLong()), LongArray(places.size) { all[places[it]] })
        }
    }

    private fun windows(question: String, context: String): List<Window> {
        val asked = texts.encode(question, special = false).ids.size
        val whole = texts.encode(question, context)
        val special = whole.specialTokenMask.map { it == 1L }
        val begun = special.indexOf(false).coerceAtLeast(0) + asked
        val first = (begun until special.size).firstOrNull { !special[it] } ?: special.size
        val last = special.lastIndexOf(false).coerceAtLeast(first - 1)
        val (before, after) = Pair((0 until first).toList(), (last + 1 until special.size).toList())
        val size = room - before.size - after.size
        if (size < 2) refused("the question has $asked tokens; the model takes $room, with the context")
        val step = size - minOf(stride, size - 1)
        val begins = generateSequence(first) { it + step }.takeWhile { it == first || it + size - step <= last }
        return begins.toList().map { begin ->
            val part = (begin..minOf(begin + size - 1, last)).toList()
            val places = before + part + after
            Window(whole, places, places.map { it in first..last })
        }
    }

    /** Start and end probabilities multiplied over allowed spans, as BERT's authors do (Devlin et al. 2019). */
    private fun best(window: Window, context: String): Answer {
        val start = probabilities(model.run(window.inputs, "start_logits").values, window.inside)
        val end = probabilities(model.run(window.inputs, "end_logits").values, window.inside)
        var found = Triple(-1, -1, -1f)
        for (first in start.indices.filter { window.inside[it] }) {
            for (last in first until minOf(first + longest, end.size)) {
                val score = start[first] * end[last]
                if (score > found.third && window.inside[last]) found = Triple(first, last, score)
            }
        }
        val (first, last, score) = found
        if (first < 0) return Answer("", 0, 0, 0f)
        val span = window.encoding.span(context, window.places[first], window.places[last])
        return Answer(context.substring(span), span.first, span.last + 1, score)
    }

    /** Over the context's tokens and the first, which stands for "no answer". */
    private fun probabilities(logits: FloatArray, inside: List<Boolean>): FloatArray {
        val kept = softmax(FloatArray(logits.size) { if (inside[it] || it == 0) logits[it] else -10_000f })
        return FloatArray(kept.size) { if (inside[it]) kept[it] else 0f }
    }

    companion object {
        /** Opens the bundle in the app's assets; [progress] 0..1 is about copying them, at the first start alone. */
        suspend fun load(context: Context, progress: (Float) -> Unit = {}): QuestionAnswering =
            withContext(Dispatchers.IO) { QuestionAnswering(installed(context, progress)) }
    }
}
