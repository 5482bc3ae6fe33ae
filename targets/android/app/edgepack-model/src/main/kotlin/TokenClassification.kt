package edgepack.edgepack_model

import android.content.Context
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.withContext

/** A span of a text that has a [label]: `text.substring(start, end)`; [score] is its tokens' mean probability. */
data class Entity(val label: String, val text: String, val start: Int, val end: Int, val score: Float)

/**
 * @model@: named spans of texts; of a text of more than @max_length@ tokens the end is left out.
 *
 * Threads may share one. Close it to give its memory back.
 */
class TokenClassification(bundle: Bundle, threads: Int = bundle.threads) : AutoCloseable {
    private val names = bundle.processing.getJSONObject("answer").getJSONArray("labels").strings()
    private val texts = Texts(bundle, bundle.processing.getJSONObject("text"))
    private val model = OnnxModel(bundle, "model", threads)

    /** The labels that a span may have. */
    val labels: List<String> = names.map { titled(it) }.distinct().filter { it != OUTSIDE }

    /** Returns the entities of each text, in order. Throws [ModelException]. */
    suspend fun tag(texts: List<String>): List<List<Entity>> = withContext(Dispatchers.Default) {
        texts.map { text ->
            ensureActive()
            entities(checked(text))
        }
    }

    override fun close() {
        model.close()
        texts.close()
    }

    internal fun inputs(text: String): Map<String, Tensor> = texts.inputs(texts.encode(text))

    /** Joins neighbouring tokens of one label; B- starts a new span. */
    private fun entities(text: String): List<Entity> {
        val encoding = texts.encode(text)
        val scores = model.run(texts.inputs(encoding), "logits").values.toList().chunked(names.size)
            .map { softmax(it.toFloatArray()) }
        val groups = mutableListOf<Triple<String, String, MutableList<Int>>>() // without B- or I-, the label, the tokens
        for (token in encoding.ids.indices.filter { encoding.specialTokenMask[it] == 0L }) {
            val name = names[scores[token].indices.maxByOrNull { scores[token][it] }!!]
            val tag = if (name.startsWith("B-") || name.startsWith("I-")) name.drop(2) else name
            val last = groups.lastOrNull()
            if (last != null && last.first == tag && !name.startsWith("B-")) last.third += token
            else groups += Triple(tag, titled(name), mutableListOf(token))
        }
        return groups.filter { it.second != OUTSIDE }.map { (_, label, tokens) ->
            val span = encoding.span(text, tokens.first(), tokens.last())
            val score = tokens.map { scores[it].max() }.average().toFloat()
            Entity(label, text.substring(span), span.first, span.last + 1, score)
        }
    }

    private fun titled(name: String): String = name.substringAfter('-')

    companion object {
        /** Opens the bundle in the app's assets; [progress] 0..1 is about copying them, at the first start alone. */
        suspend fun load(context: Context, progress: (Float) -> Unit = {}): TokenClassification =
            withContext(Dispatchers.IO) { TokenClassification(installed(context, progress)) }
    }
}

private const val OUTSIDE = "O"
