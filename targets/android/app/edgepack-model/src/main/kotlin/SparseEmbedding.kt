package edgepack.edgepack_model

import android.content.Context
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.withContext

/** The numbers of a vector that are not zero: their [indices], ascending, and their [values]. */
class SparseVector(val indices: IntArray, val values: FloatArray)

/**
 * @model@: texts as vectors over its vocabulary, most of whose numbers are zero; of a text of more than @max_length@ tokens
 * the end is left out.
 *
 * Threads may share one. Close it to give its memory back.
 */
class SparseEmbedding(bundle: Bundle, threads: Int = bundle.threads) : AutoCloseable {
    private val text = bundle.processing.getJSONObject("text")
    private val output = bundle.processing.getJSONObject("answer").getString("output")
    private val own = Prompts(text)
    private val texts = Texts(bundle, text)
    private val model = OnnxModel(bundle, "model", threads)

    /** The prompts that the model was trained to find in front of texts, by name. */
    val prompts: Map<String, String> get() = own.byName

    /**
     * Returns a vector for each text, of its [maxActiveDims] largest numbers (null: all).
     *
     * [promptName] is one of [prompts], put in front of each text; [prompt] is a text of your own, "" for none; by
     * default it is the model's own choice. Throws [ModelException]. Cancelling the coroutine ends it after a text.
     */
    suspend fun embed(
        texts: List<String>, maxActiveDims: Int? = null, promptName: String? = null, prompt: String? = null,
    ): List<SparseVector> = withContext(Dispatchers.Default) {
        if (maxActiveDims != null && maxActiveDims < 1) refused("maxActiveDims is $maxActiveDims, not 1 or more")
        val start = own.chosen(promptName, prompt)
        texts.map { text ->
            ensureActive()
            sparse(model.run(inputs(text, start), output).values, maxActiveDims)
        }
    }

    /** Returns the texts of a vector's tokens with their weights, the heaviest first. */
    fun weights(vector: SparseVector): List<Pair<String, Float>> =
        vector.values.indices.sortedByDescending { vector.values[it] }.map { place ->
            texts.decode(longArrayOf(vector.indices[place].toLong()), special = true) to vector.values[place]
        }

    /** Returns the dot product of two vectors: larger is more alike. */
    fun similarity(a: SparseVector, b: SparseVector): Float {
        val places = b.indices.indices.associateBy { b.indices[it] }
        return a.indices.indices.sumOf { place ->
            places[a.indices[place]]?.let { (a.values[place] * b.values[it]).toDouble() } ?: 0.0
        }.toFloat()
    }

    override fun close() {
        model.close()
        texts.close()
    }

    internal fun inputs(text: String, before: String = own.chosen()): Map<String, Tensor> =
        texts.inputs(texts.encode(before + text))

    private fun sparse(vector: FloatArray, most: Int?): SparseVector {
        val all = vector.indices.filter { vector[it] != 0f }
        val kept = if (most == null) all else all.sortedByDescending { vector[it] }.take(most).sorted()
        return SparseVector(kept.toIntArray(), FloatArray(kept.size) { vector[kept[it]] })
    }

    companion object {
        /** Opens the bundle in the app's assets; [progress] 0..1 is about copying them, at the first start alone. */
        suspend fun load(context: Context, progress: (Float) -> Unit = {}): SparseEmbedding =
            withContext(Dispatchers.IO) { SparseEmbedding(installed(context, progress)) }
    }
}
