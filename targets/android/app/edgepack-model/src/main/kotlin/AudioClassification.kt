package edgepack.edgepack_model

import android.content.Context
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.withContext

/**
 * @model@: @labels@ labels of sounds of one channel, @sampling_rate@ samples per second.
 *
 * Threads may share one. Close it to give its memory back.
 */
class AudioClassification(bundle: Bundle, threads: Int = bundle.threads) : AutoCloseable {
    private val answer = bundle.processing.getJSONObject("answer")
    private val sounds = Sounds(bundle.processing.getJSONObject("audio"))
    private val model = OnnxModel(bundle, "model", threads)

    /** The names of all labels, in the model's order. */
    val labels: List<String> = answer.getJSONArray("labels").strings()

    /**
     * Returns the labels of each sound, best first: samples from -1 to 1, as AudioRecord gives them (ENCODING_PCM_FLOAT,
     * CHANNEL_IN_MONO, @sampling_rate@ Hz). Throws [ModelException].
     */
    suspend fun classify(sounds: List<FloatArray>): List<List<Label>> = withContext(Dispatchers.Default) {
        sounds.map { sound ->
            ensureActive()
            labels(model.run(inputs(sound), "logits").values, answer)
        }
    }

    override fun close() = model.close()

    internal fun inputs(sound: FloatArray): Map<String, Tensor> = sounds.inputs(sound)

    companion object {
        /** Opens the bundle in the app's assets; [progress] 0..1 is about copying them, at the first start alone. */
        suspend fun load(context: Context, progress: (Float) -> Unit = {}): AudioClassification =
            withContext(Dispatchers.IO) { AudioClassification(installed(context, progress)) }
    }
}
