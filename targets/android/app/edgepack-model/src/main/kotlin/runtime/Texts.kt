package edgepack.edgepack_model

import ai.djl.huggingface.tokenizers.Encoding
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer
import java.io.IOException
import org.json.JSONObject

/**
 * Texts to token ids, by the bundle's tokenizer.json and the same Rust library that the model was trained with.
 *
 * [text] is the record of that name in edgepack.json; without [limited] nothing is cut, however long.
 */
internal class Texts(bundle: Bundle, private val text: JSONObject?, limited: Boolean = true) : AutoCloseable {
    private val longest = if (limited && text != null) text.getInt("max_length") else Int.MAX_VALUE
    private val cuts = limited && text?.getString("truncation_side") == "right" // the library cuts the end alone
    private val tokenizer: HuggingFaceTokenizer = telling {
        HuggingFaceTokenizer.newInstance(bundle.file("tokenizer.json").toPath(), options())
    }

    private fun options(): Map<String, String> = mapOf(
        "addSpecialTokens" to "true",
        "truncation" to cuts.toString(),
        "padding" to "false",
        "maxLength" to longest.toString(),
        "modelMaxLength" to longest.toString(),
    )

    /** Encodes a [first] text, or a pair; throws [ModelException], INPUT, where it is too long and cannot be cut. */
    fun encode(first: String, second: String? = null, special: Boolean = true): Encoding {
        if (second != null && text?.optBoolean("pairs", true) == false) {
            refused("this model takes a text, not a pair: it knows one kind of texts alone")
        }
        val found = telling {
            if (second == null) tokenizer.encode(checked(first), special, false)
            else tokenizer.encode(checked(first), checked(second), special, false)
        }
        if (found.ids.size > longest) refused("the text has ${found.ids.size} tokens; the model takes $longest")
        return found
    }

    /** What the model takes of one encoding: int64 [1, tokens] by the inputs' names. */
    fun inputs(encoding: Encoding): Map<String, Tensor> = text!!.getJSONArray("inputs").strings().associateWith { name ->
        val values = when (name) {
            "input_ids" -> encoding.ids
            "attention_mask" -> encoding.attentionMask
            "token_type_ids" -> encoding.typeIds
            else -> damaged("edgepack.json names the input $name, which texts do not become")
        }
        Longs(longArrayOf(1, values.size.toLong()), values)
    }

    /** The text of token ids, without special tokens or, where [special], with them. */
    fun decode(ids: LongArray, special: Boolean = false): String = telling { tokenizer.decode(ids, !special) }

    override fun close() = tokenizer.close()

    private fun <T> telling(call: () -> T): T = try {
        call()
    } catch (error: IOException) {
        damaged("tokenizer.json cannot be read", error)
    } catch (error: LinkageError) {
        val both = "ai.djl.huggingface:tokenizers and ai.djl.android:tokenizer-native"
        throw ModelException(ModelException.Reason.LIBRARY, "$both are not in the app in the same version", error)
    }
}

/** The span of [text] that tokens [first]..[last] come from; the tokenizer counts code points. */
internal fun Encoding.span(text: String, first: Int, last: Int): IntRange {
    val start = charTokenSpans[first]?.start ?: 0
    val end = charTokenSpans[last]?.end ?: start
    return text.offsetByCodePoints(0, start) until text.offsetByCodePoints(0, end)
}

/** The text with lone surrogates replaced, which have no UTF-8 form. */
internal fun checked(text: String): String = String(text.toByteArray(Charsets.UTF_8), Charsets.UTF_8)
