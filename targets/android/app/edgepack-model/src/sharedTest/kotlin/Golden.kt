package edgepack.edgepack_model

import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import kotlin.math.sqrt
import org.json.JSONObject
import org.json.JSONTokener
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue

/** A tensor of a safetensors file; [bytes] are little endian. */
internal class Stored(val type: String, val shape: LongArray, val bytes: ByteBuffer) {
    fun tensor(): Tensor = when (type) {
        "F32" -> bytes.asFloatBuffer().let { Floats(shape, FloatArray(it.remaining()).also(it::get)) }
        "I64" -> bytes.asLongBuffer().let { Longs(shape, LongArray(it.remaining()).also(it::get)) }
        else -> error("a tensor of type $type")
    }

    fun raw(): ByteArray = ByteArray(bytes.remaining()).also { bytes.duplicate().get(it) }
}

/** Tensors of a safetensors file by their names: 8 bytes of length, a header in JSON, the data. */
internal fun safetensors(content: ByteArray): Map<String, Stored> {
    val whole = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN)
    val length = whole.getLong(0).toInt()
    val header = JSONObject(String(content, 8, length))
    return header.keys().asSequence().filter { it != "__metadata__" }.associateWith { name ->
        val entry = header.getJSONObject(name)
        val (from, to) = entry.getJSONArray("data_offsets").let { Pair(it.getInt(0), it.getInt(1)) }
        val shape = entry.getJSONArray("shape").let { all -> LongArray(all.length()) { all.getLong(it) } }
        val bytes = ByteBuffer.wrap(content, 8 + length + from, to - from).slice().order(ByteOrder.LITTLE_ENDIAN)
        Stored(entry.getString("dtype"), shape, bytes)
    }
}

/** An example in a file of golden vectors, and the inputs that it becomes. */
internal class Example(private val stored: Stored, val kind: String, val inputs: Map<String, Tensor>) {
    /** One text, or the two of a pair. */
    val texts: List<String>
        get() = when (val value = JSONTokener(String(stored.raw())).nextValue()) {
            is org.json.JSONArray -> value.strings()
            else -> listOf(value as String)
        }

    // edgepack:if chat
    val messages: List<TextGeneration.Message>
        get() = JSONTokener(String(stored.raw())).nextValue().let { it as org.json.JSONArray }.let { all ->
            List(all.length()) { all.getJSONObject(it) }
                .map { TextGeneration.Message(it.getString("role"), it.getString("content")) }
        }

    // edgepack:end
    // edgepack:if image
    val image: Pixels
        get() {
            val channels = stored.shape.getOrElse(2) { 1L }
            return Pixels(stored.shape[0].toInt(), stored.shape[1].toInt(), channels.toInt(), stored.raw())
        }

    // edgepack:end
    // edgepack:if audio
    /** Samples; null of a WAV file that has another rate or form than [rate] samples per second of 16 bits. */
    fun sound(rate: Int): FloatArray? =
        if (stored.type == "F32") (stored.tensor() as Floats).values else wav(stored.bytes, rate)
    // edgepack:end
}

// edgepack:if audio
private fun wav(bytes: ByteBuffer, rate: Int): FloatArray? {
    var place = 12
    var channels = 0
    while (place + 8 <= bytes.limit()) {
        val size = bytes.getInt(place + 4)
        when (String(ByteArray(4) { bytes.get(place + it) })) {
            "fmt " -> {
                channels = bytes.getShort(place + 10).toInt()
                val plain = bytes.getShort(place + 8).toInt() == 1 && bytes.getShort(place + 22).toInt() == 16
                if (!plain || bytes.getInt(place + 12) != rate) return null
            }
            "data" -> return FloatArray(minOf(size, bytes.limit() - place - 8) / 2 / channels) { sample ->
                val all = List(channels) { bytes.getShort(place + 8 + 2 * (sample * channels + it)) / 32768f }
                all.sum() / channels
            }
        }
        place += 8 + size + size % 2
    }
    return null
}

// edgepack:end

/** The examples of a file, those of [kinds] "text", "messages", "image" and "audio". */
internal fun examples(tensors: Map<String, Stored>, kinds: Set<String> = setOf("text", "image", "audio")): List<Example> =
    tensors.keys.filter { it.substringAfter('.') in kinds }.map { name ->
        val start = name.substringBefore('.') + ".input."
        val inputs = tensors.filterKeys { it.startsWith(start) }
        Example(
            tensors.getValue(name), name.substringAfter('.'),
            inputs.entries.associate { (key, value) -> key.removePrefix(start) to value.tensor() },
        )
    }

/** What [make] makes of every example of the golden inputs is what edgepack made of them. */
internal fun checkInputs(kinds: Set<String>, make: (Example) -> Map<String, Tensor>) {
    val all = examples(safetensors(resource("golden_inputs.safetensors")), kinds)
    assertTrue("there are no examples", all.isNotEmpty())
    for (example in all) checkSame(example.inputs, make(example))
}

/** The model answers the golden vectors as the original did, from the examples on. */
internal fun checkGolden(bundle: Bundle, name: String = "model", make: ((Example) -> Map<String, Tensor>)?) {
    val facts = bundle.model(name).getJSONObject("golden")
    val output = facts.getString("output")
    val tensors = safetensors(bundle.file(facts.getString("file")).readBytes())
    val wanted = tensors.filterKeys { it.endsWith(".output.$output") }
    assertTrue("there are no golden vectors", wanted.isNotEmpty())
    OnnxModel(bundle, name, bundle.threads).use { model ->
        for ((key, original) in wanted) {
            val number = key.substringBefore('.')
            val own = tensors.filterKeys { it.startsWith("$number.") }
            val stored = own.filterKeys { ".input." in it }.entries
                .associate { (input, value) -> input.substringAfter(".input.") to value.tensor() }
            val made = make?.invoke(examples(own).single()) ?: stored
            if (make != null) checkSame(stored, made)
            val found = model.run(stored + made, output)
            val answer = (original.tensor() as Floats).values
            val cosine = cosine(found.values.takeLast(answer.size).toFloatArray(), answer) // of a text the last token's
            val least = facts.getDouble("least_cosine")
            assertTrue("golden vector $number: cosine $cosine, at least $least is wanted", cosine >= least)
        }
    }
}

private fun checkSame(wanted: Map<String, Tensor>, found: Map<String, Tensor>) {
    for ((name, tensor) in wanted) {
        val mine = found[name] ?: continue // of a model with two kinds of inputs, the other kind
        assertArrayEquals("the shape of $name", tensor.shape, mine.shape)
        when (tensor) {
            is Longs -> assertArrayEquals(name, tensor.values, (mine as Longs).values)
            is Floats -> {
                val values = (mine as Floats).values
                val apart = values.indices.maxOf { abs(values[it] - tensor.values[it]) }
                assertEquals("$name differs", 0f, apart, CLOSE)
            }
        }
    }
    assertTrue("nothing was compared", wanted.keys.any { it in found })
}

private fun cosine(a: FloatArray, b: FloatArray): Double {
    assertEquals(a.size, b.size)
    fun dot(one: FloatArray, other: FloatArray) = one.indices.sumOf { one[it].toDouble() * other[it] }
    return dot(a, b) / sqrt(dot(a, a) * dot(b, b))
}

private const val CLOSE = 1e-4f // of a sound or of normalized pixels, of which one level of 255 is about 0.02
