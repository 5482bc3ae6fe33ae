package edgepack.edgepack_model

/** An image: bytes 0..255 of [channels] (1: grey, 3: red, green, blue, 4: and alpha) for each pixel, row after row. */
class Pixels(val height: Int, val width: Int, val channels: Int, val bytes: ByteArray) {
    init {
        if (height < 1 || width < 1 || channels !in listOf(1, 3, 4) || bytes.size != height * width * channels) {
            refused("${bytes.size} bytes are no image of $height x $width pixels with $channels channels")
        }
    }

    internal operator fun get(y: Int, x: Int, channel: Int): Int =
        bytes[(y * width + x) * channels + channel].toInt() and 0xff
}
