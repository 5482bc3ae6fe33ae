package edgepack.edgepack_model

import android.graphics.Bitmap
import android.graphics.Color

/**
 * The pixels of a bitmap; its alpha is left out, as models' own image readers do with files.
 *
 * A photograph is turned upright before by whoever decodes it: ImageDecoder does so, BitmapFactory does not. Of a
 * transparent image Android keeps the colours only where the decoder was told `isUnpremultipliedRequired = true`.
 */
fun Bitmap.toPixels(): Pixels {
    val colours = IntArray(width * height)
    getPixels(colours, 0, width, 0, 0, width, height)
    val bytes = ByteArray(colours.size * 3)
    for ((place, colour) in colours.withIndex()) {
        bytes[3 * place] = Color.red(colour).toByte()
        bytes[3 * place + 1] = Color.green(colour).toByte()
        bytes[3 * place + 2] = Color.blue(colour).toByte()
    }
    return Pixels(height, width, 3, bytes)
}
