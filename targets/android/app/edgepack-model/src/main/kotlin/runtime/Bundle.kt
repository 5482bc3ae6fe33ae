package edgepack.edgepack_model

import java.io.File
import java.io.IOException
import java.security.MessageDigest
import org.json.JSONException
import org.json.JSONObject

/**
 * The bundle's files in a folder, of which each was hashed and is the one that edgepack.json lists.
 *
 * Throws [ModelException], BUNDLE_DAMAGED, which names model and tokenizer where one of them is not the bundle's.
 */
class Bundle(val folder: File) {
    private val table: JSONObject = try {
        JSONObject(file("edgepack.json").readText())
    } catch (error: IOException) {
        damaged("$folder holds no edgepack.json", error)
    } catch (error: JSONException) {
        damaged("edgepack.json in $folder cannot be read", error)
    }

    init {
        if (table.optString("task") != TASK) damaged("$folder is for ${table.optString("task")}, this code for $TASK")
        check()
    }

    /** How inputs are made and outputs are read: the records that docs/bundle-format.md of edgepack describes. */
    val processing: JSONObject get() = table.getJSONObject("processing")

    /** The names of the models in the bundle, such as "model". */
    val models: List<String> get() = table.getJSONObject("models").keys().asSequence().toList()

    /** The part of edgepack.json that is about one model: its file, inputs, outputs and golden vectors. */
    fun model(name: String): JSONObject = table.getJSONObject("models").getJSONObject(name)

    /** A file of the bundle. */
    fun file(name: String): File = File(folder, name)

    /** Threads that suit the device that the bundle was built for. */
    val threads: Int get() = table.getJSONObject("target").getInt("threads")

    private fun check() {
        val files = table.getJSONObject("files")
        for (name in files.keys()) {
            val wanted = files.getJSONObject(name).getString("sha256")
            val found = try {
                sha256(file(name))
            } catch (error: IOException) {
                damaged("$name is missing in $folder", error)
            }
            if (found != wanted) {
                damaged("${told(name, files)} in $folder: $name has the SHA-256 $found, and the model was built with $wanted")
            }
        }
    }

    /** Names the model and its tokenizer where one of them is wrong: one without the other answers nonsense. */
    private fun told(wrong: String, files: JSONObject): String {
        val graphs = models.flatMap { name -> model(name).getJSONArray("files").strings() }
        val tokenizers = files.keys().asSequence().filter { it.substringAfterLast('/') == "tokenizer.json" }.toList()
        if (wrong !in graphs && wrong !in tokenizers) return "$wrong is not the bundle's"
        val others = if (wrong in graphs) tokenizers else graphs.take(1)
        return (listOf(wrong) + others).joinToString(" and ") + " do not belong together"
    }

    internal companion object {
        const val TASK = "@task@"
        private const val CHUNK = 1 shl 20

        fun sha256(file: File): String {
            val digest = MessageDigest.getInstance("SHA-256")
            file.inputStream().use { stream ->
                val chunk = ByteArray(CHUNK)
                while (true) {
                    val count = stream.read(chunk)
                    if (count < 0) break
                    digest.update(chunk, 0, count)
                }
            }
            return digest.digest().joinToString("") { "%02x".format(it) }
        }
    }
}

internal fun org.json.JSONArray.strings(): List<String> = List(length()) { getString(it) }

internal fun org.json.JSONArray.floats(): FloatArray = FloatArray(length()) { getDouble(it).toFloat() }
