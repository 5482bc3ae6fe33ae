package edgepack.edgepack_model

import android.content.Context
import kotlin.math.sqrt
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext

/**
 * @model@: how well labels of your own fit images; both also become vectors of @width@ numbers.
 *
 * Threads may share one. Close it to give its memory back.
 */
class ZeroShotImageClassification(bundle: Bundle, threads: Int = bundle.threads) : AutoCloseable {
    private val match = bundle.processing.getJSONObject("answer")
    private val texts = Texts(bundle, bundle.processing.getJSONObject("text"))
    private val images = Images(bundle.processing.getJSONObject("image"))
    private val textModel = OnnxModel(bundle, "text_model", threads)
    private val visionModel = OnnxModel(bundle, "vision_model", threads)

    /**
     * Returns the [labels] with their scores for each image, best first; the scores of one image add up to 1.
     *
     * [template] is the text that a label becomes, with {} in its place; null: the model's own. Throws [ModelException].
     */
    suspend fun classify(images: List<Pixels>, labels: List<String>, template: String? = null): List<List<Label>> {
        val form = template ?: match.getString("template")
        if (labels.isEmpty()) refused("there are no labels to choose from")
        if ("{}" !in form) refused("the template $form has no {} for the label")
        val named = embedTexts(labels.map { form.replace("{}", it) }).map { unit(it) }
        return embedImages(images).map { unit(it) }.map { image ->
            val scale = match.getDouble("scale").toFloat()
            val scores = softmax(FloatArray(named.size) { label -> scale * dot(image, named[label]) })
            labels.indices.map { Label(labels[it], scores[it]) }.sortedByDescending { it.score }
        }
    }

    /** Returns a FloatArray of @width@ numbers for each text, not normalised. */
    suspend fun embedTexts(texts: List<String>): List<FloatArray> = withContext(Dispatchers.Default) {
        texts.map { textModel.run(inputs(it), match.getString("text_output")).values }
    }

    /** Returns a FloatArray of @width@ numbers for each image (`bitmap.toPixels()`), not normalised. */
    suspend fun embedImages(images: List<Pixels>): List<FloatArray> = withContext(Dispatchers.Default) {
        images.map { visionModel.run(inputs(it), match.getString("image_output")).values }
    }

    override fun close() {
        textModel.close()
        visionModel.close()
        texts.close()
    }

    internal fun inputs(text: String): Map<String, Tensor> = texts.inputs(texts.encode(text))

    internal fun inputs(image: Pixels): Map<String, Tensor> = images.inputs(image)

    private fun dot(a: FloatArray, b: FloatArray): Float = a.indices.sumOf { (a[it] * b[it]).toDouble() }.toFloat()

    private fun unit(vector: FloatArray): FloatArray {
        val length = sqrt(dot(vector, vector))
        return FloatArray(vector.size) { if (length == 0f) 0f else vector[it] / length }
    }

    companion object {
        /** Opens the bundle in the app's assets; [progress] 0..1 is about copying them, at the first start alone. */
        suspend fun load(context: Context, progress: (Float) -> Unit = {}): ZeroShotImageClassification =
            withContext(Dispatchers.IO) { ZeroShotImageClassification(installed(context, progress)) }
    }
}
