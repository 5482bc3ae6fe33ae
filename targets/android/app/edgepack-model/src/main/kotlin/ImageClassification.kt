package edgepack.edgepack_model

import android.content.Context
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.withContext

/**
 * @model@: @labels@ labels of images, which become @image_width@ x @image_height@ pixels.
 *
 * Threads may share one. Close it to give its memory back.
 */
class ImageClassification(bundle: Bundle, threads: Int = bundle.threads) : AutoCloseable {
    private val answer = bundle.processing.getJSONObject("answer")
    private val images = Images(bundle.processing.getJSONObject("image"))
    private val model = OnnxModel(bundle, "model", threads)

    /** The names of all labels, in the model's order. */
    val labels: List<String> = answer.getJSONArray("labels").strings()

    /** Returns the labels of each image (`bitmap.toPixels()`), best first. Throws [ModelException]. */
    suspend fun classify(images: List<Pixels>): List<List<Label>> = withContext(Dispatchers.Default) {
        images.map { image ->
            ensureActive()
            labels(model.run(inputs(image), "logits").values, answer)
        }
    }

    override fun close() = model.close()

    internal fun inputs(image: Pixels): Map<String, Tensor> = images.inputs(image)

    companion object {
        /** Opens the bundle in the app's assets; [progress] 0..1 is about copying them, at the first start alone. */
        suspend fun load(context: Context, progress: (Float) -> Unit = {}): ImageClassification =
            withContext(Dispatchers.IO) { ImageClassification(installed(context, progress)) }
    }
}
