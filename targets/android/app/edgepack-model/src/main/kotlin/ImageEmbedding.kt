package edgepack.edgepack_model

import android.content.Context
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.withContext

/**
 * @model@: images, which become @image_width@ x @image_height@ pixels, as vectors of @width@ numbers.
 *
 * Threads may share one. Close it to give its memory back.
 */
class ImageEmbedding(bundle: Bundle, threads: Int = bundle.threads) : AutoCloseable {
    private val output = bundle.processing.getJSONObject("answer").getString("output")
    private val images = Images(bundle.processing.getJSONObject("image"))
    private val model = OnnxModel(bundle, "model", threads)

    /** Returns a FloatArray of @width@ numbers for each image (`bitmap.toPixels()`). Throws [ModelException]. */
    suspend fun embed(images: List<Pixels>): List<FloatArray> = withContext(Dispatchers.Default) {
        images.map { image ->
            ensureActive()
            model.run(inputs(image), output).values
        }
    }

    override fun close() = model.close()

    internal fun inputs(image: Pixels): Map<String, Tensor> = images.inputs(image)

    companion object {
        /** Opens the bundle in the app's assets; [progress] 0..1 is about copying them, at the first start alone. */
        suspend fun load(context: Context, progress: (Float) -> Unit = {}): ImageEmbedding =
            withContext(Dispatchers.IO) { ImageEmbedding(installed(context, progress)) }
    }
}
