package edgepack.edgepack_model

import kotlin.math.ceil
import kotlin.math.max
import kotlin.math.min
import kotlin.math.round
import org.json.JSONObject

/** Images to float32 [1, channels, height, width], by the steps of the record [image] in edgepack.json. */
internal class Images(private val image: JSONObject) {
    private val channels = image.getInt("channels")
    private val height = image.getJSONObject("size").getInt("height")
    private val width = image.getJSONObject("size").getInt("width")
    private val steps = image.getJSONArray("steps").let { all -> List(all.length()) { all.getJSONObject(it) } }

    /** What the model takes of one image. Throws [ModelException], INPUT. */
    fun inputs(given: Pixels): Map<String, Tensor> {
        var pixels = coloured(given)
        val (sizes, values) = steps.partition { it.getString("op") in SIZES }
        for (step in sizes) pixels = if ("crop" in step.getString("op")) cropped(pixels, step) else sized(pixels, step)
        if (pixels.height != height || pixels.width != width) {
            refused("the image is not resized and is ${pixels.height} x ${pixels.width}; the model takes $height x $width")
        }
        return mapOf(image.getString("input") to Floats(longArrayOf(1, channels.toLong(), height.toLong(), width.toLong()),
            planes(pixels, values)))
    }

    private fun coloured(given: Pixels): Pixels {
        val opaque = if (given.channels == 4) opaque(given) else given
        if (opaque.channels == channels) return opaque
        return made(opaque.height, opaque.width, channels) { y, x, _ ->
            if (channels == 3) opaque[y, x, 0] // ITU-R 601, as Pillow has it:
            else (19595 * opaque[y, x, 0] + 38470 * opaque[y, x, 1] + 7471 * opaque[y, x, 2] + 32768) shr 16
        }
    }

    private fun opaque(given: Pixels): Pixels = when (val rule = image.getString("alpha")) {
        "drop" -> made(given.height, given.width, 3) { y, x, channel -> given[y, x, channel] }
        "white" -> made(given.height, given.width, 3) { y, x, channel ->
            val opacity = given[y, x, 3] / 255.0
            round(opacity * given[y, x, channel] + (1 - opacity) * 255).toInt()
        }
        "refuse" -> refused("the image has transparency, and the model's authors do not say how to treat it")
        else -> damaged("edgepack.json treats alpha as $rule")
    }

    private fun sized(pixels: Pixels, step: JSONObject): Pixels {
        val (tall, wide) = when (step.getString("op")) {
            "resize" -> Pair(step.getInt("height"), step.getInt("width"))
            "resize_within" -> {
                val scale = min(
                    step.getInt("max_height").toDouble() / pixels.height, step.getInt("max_width").toDouble() / pixels.width,
                )
                Pair((pixels.height * scale).toInt(), (pixels.width * scale).toInt())
            }
            else -> {
                val (near, far) = edges(min(pixels.height, pixels.width), max(pixels.height, pixels.width), step)
                if (pixels.height <= pixels.width) Pair(near, far) else Pair(far, near)
            }
        }
        return resized(pixels, tall, wide, step.getString("resample"))
    }

    /** The shorter and the longer side after a resize by the shorter one. */
    private fun edges(short: Int, long: Int, step: JSONObject): Pair<Int, Int> {
        val wanted = step.getInt("shortest_edge")
        val longest = if (step.isNull("longest_edge")) null else step.getInt("longest_edge")
        val unit = if (step.isNull("multiple_of")) 1 else step.getInt("multiple_of")
        var near = wanted
        var far = (wanted.toDouble() * long / short).toInt()
        if (longest != null && long.toDouble() / short * wanted > longest) {
            val exact = longest.toDouble() * short / long
            near = round(exact).toInt()
            far = if (near == short) long else (exact * long / short).toInt()
        }
        return Pair(upTo(near, unit), upTo(far, unit))
    }

    private fun upTo(side: Int, unit: Int): Int = ceil(side.toDouble() / unit).toInt() * unit

    /** The centre; what lies outside is black. Half a pixel of an odd margin is rounded down, or as torchvision does. */
    private fun cropped(pixels: Pixels, step: JSONObject): Pixels {
        val short = min(pixels.height, pixels.width)
        val ratio = step.getString("op") == "center_crop_ratio"
        val tall = if (ratio) (step.getDouble("height_ratio") * short).toInt() else step.getInt("height")
        val wide = if (ratio) (step.getDouble("width_ratio") * short).toInt() else step.getInt("width")
        val top = start(pixels.height - tall, step)
        val left = start(pixels.width - wide, step)
        return made(tall, wide, pixels.channels) { y, x, channel ->
            val inside = y + top in 0 until pixels.height && x + left in 0 until pixels.width
            if (inside) pixels[y + top, x + left, channel] else 0
        }
    }

    private fun start(margin: Int, step: JSONObject): Int {
        if (step.optString("odd") != "torchvision") return Math.floorDiv(margin, 2)
        return (if (margin < 0) ceil(margin / 2.0) else round(margin / 2.0)).toInt()
    }

    private fun planes(pixels: Pixels, todo: List<JSONObject>): FloatArray {
        val plane = height * width
        val values = FloatArray(channels * plane)
        for (place in 0 until plane) for (channel in 0 until channels) {
            values[channel * plane + place] = pixels[place / width, place % width, channel].toFloat()
        }
        return todo.fold(values) { before, step -> valued(before, step, plane) }
    }

    private fun valued(values: FloatArray, step: JSONObject, plane: Int): FloatArray = when (val op = step.getString("op")) {
        "reverse_channels" -> FloatArray(values.size) { values[(channels - 1 - it / plane) * plane + it % plane] }
        "rescale" -> {
            val factor = step.getDouble("factor")
            val offset = step.getDouble("offset").toFloat()
            FloatArray(values.size) { (values[it] * factor).toFloat() + offset }
        }
        "normalize" -> {
            val mean = step.getJSONArray("mean").floats()
            val std = step.getJSONArray("std").floats()
            FloatArray(values.size) { (values[it] - mean[it / plane]) / std[it / plane] }
        }
        else -> damaged("edgepack.json names the step $op, which this code does not know")
    }

    private inline fun made(tall: Int, wide: Int, channels: Int, value: (Int, Int, Int) -> Int): Pixels {
        val bytes = ByteArray(tall * wide * channels)
        for (place in bytes.indices) {
            bytes[place] = value(place / channels / wide, place / channels % wide, place % channels).toByte()
        }
        return Pixels(tall, wide, channels, bytes)
    }

    private companion object {
        val SIZES = setOf("resize", "resize_shortest_edge", "resize_within", "center_crop", "center_crop_ratio")
    }
}
