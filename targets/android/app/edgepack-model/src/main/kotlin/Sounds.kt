package edgepack.edgepack_model

import kotlin.math.PI
import kotlin.math.cos
import kotlin.math.ln
import kotlin.math.max
import kotlin.math.min
import kotlin.math.sin
import kotlin.math.sqrt
import org.json.JSONObject

/** Sounds at the model's rate to its input, by the record [audio] in edgepack.json. */
internal class Sounds(private val audio: JSONObject) {
    private val features = audio.getJSONObject("features")
    private val rate = audio.getInt("sampling_rate")

    /** What the model takes of the samples of one sound. Throws [ModelException], INPUT. */
    fun inputs(samples: FloatArray): Map<String, Tensor> {
        val least = audio.getInt("min_samples")
        if (samples.size < least) refused("a sound of ${samples.size} samples is too short: the model takes $least or more")
        if (samples.any { !it.isFinite() }) refused("the sound holds NaN or infinity")
        val made = when (val kind = features.getString("kind")) {
            "waveform" -> waveform(samples)
            "log-mel" -> logMel(samples)
            else -> damaged("edgepack.json names the features $kind, which this code does not know")
        }
        return mapOf(audio.getString("input") to made)
    }

    private fun waveform(samples: FloatArray): Floats {
        val most = features.getInt("max_samples")
        if (samples.size > most) refused("a sound of ${samples.size} samples is too long: the bundle takes $most at most")
        val shape = longArrayOf(1, samples.size.toLong())
        if (!features.getBoolean("normalize")) return Floats(shape, samples)
        val mean = samples.sumOf { it.toDouble() } / samples.size
        val variance = samples.sumOf { (it - mean) * (it - mean) } / samples.size
        return Floats(shape, FloatArray(samples.size) { ((samples[it] - mean) / sqrt(variance + EPSILON)).toFloat() })
    }

    /** Logarithms of the energy in bands of the mel scale, float32 [1, frames, bins]; frames that lack are 0 before. */
    private fun logMel(samples: FloatArray): Floats {
        val (length, hop) = Pair(features.getInt("frame_length"), features.getInt("hop_length"))
        val (frames, bins) = Pair(features.getInt("frames"), features.getInt("mel_bins"))
        val triangles = triangles(bins)
        val made = FloatArray(frames * bins)
        val found = min(frames, if (samples.size < length) 0 else (samples.size - length) / hop + 1)
        for (frame in 0 until found) {
            val energies = energies(samples, frame * hop, length)
            for (bin in 0 until bins) {
                val energy = energies.indices.sumOf { energies[it] * triangles[bin][it] }
                made[frame * bins + bin] = ln(max(features.getDouble("floor"), energy)).toFloat()
            }
        }
        val (mean, std) = Pair(features.getDouble("mean").toFloat(), features.getDouble("std").toFloat())
        val values = FloatArray(made.size) { (made[it] - mean) / std }
        return Floats(longArrayOf(1, frames.toLong(), bins.toLong()), values)
    }

    private fun energies(samples: FloatArray, start: Int, length: Int): DoubleArray {
        val real = DoubleArray(features.getInt("fft_length"))
        for (place in 0 until length) real[place] = samples[start + place].toDouble()
        if (features.getBoolean("remove_dc_offset")) {
            val mean = real.sum() / length
            for (place in 0 until length) real[place] -= mean
        }
        val emphasis = features.getDouble("preemphasis")
        for (place in length - 1 downTo 1) real[place] -= emphasis * real[place - 1]
        real[0] *= 1 - emphasis
        for (place in 0 until length) real[place] *= 0.5 - 0.5 * cos(2 * PI * place / (length - 1))
        val imaginary = DoubleArray(real.size)
        fourier(real, imaginary)
        return DoubleArray(real.size / 2 + 1) { place ->
            val (a, b) = Pair(real[place].toFloat().toDouble(), imaginary[place].toFloat().toDouble())
            a * a + b * b
        }
    }

    /** A Fourier transform in place, of a size that is a power of two (Cooley and Tukey 1965). */
    private fun fourier(real: DoubleArray, imaginary: DoubleArray) {
        val size = real.size
        if (size and (size - 1) != 0) damaged("edgepack.json names the Fourier length $size, no power of two")
        for (place in 0 until size) {
            val other = Integer.reverse(place) ushr (Integer.numberOfLeadingZeros(size) + 1)
            if (other > place) real[place] = real[other].also { real[other] = real[place] }
        }
        var half = 1
        while (half < size) {
            for (start in 0 until size step 2 * half) for (place in start until start + half) {
                val angle = -PI * (place - start) / half
                val (a, b) = Pair(cos(angle), sin(angle))
                val x = a * real[place + half] - b * imaginary[place + half]
                val y = a * imaginary[place + half] + b * real[place + half]
                real[place + half] = real[place] - x
                imaginary[place + half] = imaginary[place] - y
                real[place] += x
                imaginary[place] += y
            }
            half *= 2
        }
    }

    /** How much each frequency counts in each band. */
    private fun triangles(bins: Int): List<DoubleArray> {
        val length = features.getInt("fft_length")
        val (low, high) = Pair(mel(features.getDouble("min_frequency")), mel(features.getDouble("max_frequency")))
        val corners = DoubleArray(bins + 2) { low + (high - low) * it / (bins + 1) }
        return List(bins) { bin ->
            DoubleArray(length / 2 + 1) { place ->
                val mel = mel(place * (rate.toDouble() / length))
                val rising = (mel - corners[bin]) / (corners[bin + 1] - corners[bin])
                val falling = (corners[bin + 2] - mel) / (corners[bin + 2] - corners[bin + 1])
                max(0.0, min(rising, falling))
            }
        }
    }

    private fun mel(hertz: Double): Double = 1127 * ln(1 + hertz / 700)

    private companion object {
        const val EPSILON = 1e-7 // of the variance
    }
}
