package edgepack.edgepack_model

import android.content.Context
import java.io.File
import java.io.FileNotFoundException
import java.io.IOException

/**
 * The bundle as files: onnxruntime opens files, and assets are none, so they are copied once for each version.
 *
 * [progress] is told the share that is done, 0..1. Throws [ModelException], NO_SPACE or BUNDLE_DAMAGED.
 */
internal fun installed(context: Context, progress: (Float) -> Unit): Bundle {
    val manifest = try {
        context.assets.open("$ASSETS/edgepack.json").use { it.readBytes() }
    } catch (error: FileNotFoundException) {
        damaged("the app's assets hold no $ASSETS/edgepack.json", error)
    }
    val home = File(context.noBackupFilesDir, "edgepack/edgepack_model")
    val place = File(home, java.security.MessageDigest.getInstance("SHA-256").digest(manifest).hex())
    if (!place.isDirectory) {
        home.deleteRecursively() // what is there is of another version, or of a copy that was ended
        val work = File(home, "work")
        copy(context, org.json.JSONObject(String(manifest)).getJSONObject("files"), work, progress)
        File(work, "edgepack.json").writeBytes(manifest)
        if (!work.renameTo(place)) damaged("$work cannot be renamed to $place")
    }
    progress(1f)
    return try {
        Bundle(place)
    } catch (error: ModelException) {
        place.deleteRecursively() // so that the next call copies again
        throw error
    }
}

private const val ASSETS = "edgepack_model"

private fun copy(context: Context, files: org.json.JSONObject, work: File, progress: (Float) -> Unit) {
    val total = files.keys().asSequence().sumOf { files.getJSONObject(it).getLong("bytes") }
    work.mkdirs()
    if (work.usableSpace < total) {
        throw ModelException(
            ModelException.Reason.NO_SPACE,
            "the model takes ${total / MEGA} MB, and ${work.usableSpace / MEGA} MB are free",
        )
    }
    var done = 0L
    for (name in files.keys()) {
        val file = File(work, name)
        file.parentFile?.mkdirs()
        try {
            context.assets.open("$ASSETS/$name").use { from -> file.outputStream().use { to -> from.copyTo(to) } }
        } catch (error: IOException) {
            damaged("$ASSETS/$name cannot be copied from the app's assets", error)
        }
        done += file.length()
        progress(if (total == 0L) 1f else done.toFloat() / total)
    }
}

private fun ByteArray.hex(): String = joinToString("") { "%02x".format(it) }

private const val MEGA = 1_000_000
