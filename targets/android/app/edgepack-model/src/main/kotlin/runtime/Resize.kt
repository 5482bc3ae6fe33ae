package edgepack.edgepack_model

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.cos
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import kotlin.math.sin
import kotlin.math.truncate

/**
 * Resizes as Pillow 13 does, to the last bit: a filter that is widened where the image shrinks, weights in 22-bit fixed
 * point, and a rounding to bytes after each of two passes.
 */
internal fun resized(image: Pixels, height: Int, width: Int, resample: String): Pixels {
    if (height < 1 || width < 1) refused("an image of ${image.height} x ${image.width} pixels is too narrow")
    if (image.height == height && image.width == width) return image
    if (resample == "nearest") return nearest(image, height, width)
    val lost = image.height - height
    val downFirst = lost > 0 && lost > 2 * (image.width - width)
    return if (downFirst) across(down(image, height, resample), width, resample)
    else down(across(image, width, resample), height, resample)
}

private fun nearest(image: Pixels, height: Int, width: Int): Pixels {
    val rows = nearest(image.height, height)
    val columns = nearest(image.width, width)
    return pixels(height, width, image.channels) { y, x, channel -> image[rows[y], columns[x], channel] }
}

/** The source pixel of each new one; summed up as Pillow does it, since ties hang on the last bit. */
private fun nearest(size: Int, wanted: Int): IntArray {
    val step = size.toDouble() / wanted
    var place = step / 2
    return IntArray(wanted) { place.toInt().also { place += step } }
}

private fun down(image: Pixels, height: Int, resample: String): Pixels {
    if (image.height == height) return image
    val taps = taps(image.height, height, resample)
    return pixels(height, image.width, image.channels) { y, x, channel ->
        taps[y].sum { place -> image[place, x, channel] }
    }
}

private fun across(image: Pixels, width: Int, resample: String): Pixels {
    if (image.width == width) return image
    val taps = taps(image.width, width, resample)
    return pixels(image.height, width, image.channels) { y, x, channel ->
        taps[x].sum { place -> image[y, place, channel] }
    }
}

private inline fun pixels(height: Int, width: Int, channels: Int, value: (Int, Int, Int) -> Int): Pixels {
    val bytes = ByteArray(height * width * channels)
    var place = 0
    for (y in 0 until height) for (x in 0 until width) for (channel in 0 until channels) {
        bytes[place++] = value(y, x, channel).toByte()
    }
    return Pixels(height, width, channels, bytes)
}

/** How much the source pixels from [first] on count for one new pixel, in 2^-22. */
private class Taps(val first: Int, val weights: LongArray) {
    inline fun sum(value: (Int) -> Int): Int {
        var total = 1L shl (BITS - 1)
        for (tap in weights.indices) total += weights[tap] * value(first + tap)
        return (total shr BITS).coerceIn(0L, 255L).toInt()
    }
}

private fun taps(size: Int, wanted: Int, resample: String): List<Taps> {
    val (kernel, support) = FILTERS[resample] ?: damaged("edgepack.json names the resampling $resample")
    val scale = size.toDouble() / wanted
    val stretch = max(scale, 1.0)
    return List(wanted) { number ->
        val centre = (number + 0.5) * scale
        val first = max((centre - support * stretch + 0.5).toInt(), 0)
        val last = min((centre + support * stretch + 0.5).toInt(), size)
        val shares = DoubleArray(last - first) { kernel((first + it - centre + 0.5) * (1.0 / stretch)) }
        val total = shares.sum()
        Taps(first, LongArray(shares.size) { fixed(if (total == 0.0) shares[it] else shares[it] / total) })
    }
}

private fun fixed(weight: Double): Long = truncate(weight * (1 shl BITS) + if (weight < 0) -0.5 else 0.5).toLong()

private fun sinc(x: Double): Double = if (x == 0.0) 1.0 else sin(PI * x) / (PI * x)

private fun cubic(x: Double): Double {
    val a = -0.5
    return when {
        x < 1 -> ((a + 2) * x - (a + 3)) * x * x + 1
        x < 2 -> (((x - 5) * x + 8) * x - 4) * a
        else -> 0.0
    }
}

private fun hamming(x: Double): Double =
    if (x < 1) sinc(x) * (0.54f.toDouble() + 0.46f.toDouble() * cos(x * PI)) else 0.0

private val FILTERS: Map<String, Pair<(Double) -> Double, Double>> = mapOf(
    "lanczos" to Pair({ x -> if (x >= -3 && x < 3) sinc(x) * sinc(x / 3) else 0.0 }, 3.0),
    "bilinear" to Pair({ x -> max(1 - abs(x), 0.0) }, 1.0),
    "bicubic" to Pair({ x -> cubic(abs(x)) }, 2.0),
    "box" to Pair({ x -> if (x > -0.5 && x <= 0.5) 1.0 else 0.0 }, 0.5),
    "hamming" to Pair({ x -> hamming(abs(x)) }, 1.0),
)

private const val BITS = 22
