package edgepack.edgepack_model

import ai.onnxruntime.genai.GenAIException
import ai.onnxruntime.genai.Generator
import ai.onnxruntime.genai.GeneratorParams
import ai.onnxruntime.genai.Model
// edgepack:if chat
import ai.onnxruntime.genai.Tokenizer
// edgepack:end
import android.content.Context
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.flowOn
import kotlinx.coroutines.withContext
// edgepack:if chat
import org.json.JSONArray
import org.json.JSONObject
// edgepack:end

/**
 * @model@: prompt and answer together are at most @max_length@ tokens.
 *
 * Close it to give its memory back.
 */
class TextGeneration(bundle: Bundle) : AutoCloseable {
    private val settings = bundle.processing.getJSONObject("generation")
    private val longest = settings.getInt("max_length")
    private val eos = settings.getJSONArray("eos_ids").let { ids -> List(ids.length()) { ids.getInt(it) } }.toSet()
    private val texts = Texts(bundle, null)
    private val model: Model = telling("${bundle.folder} cannot be opened") { Model(bundle.folder.path) }

    // edgepack:if chat
    private val template: String = bundle.file("chat_template.jinja").let { if (it.isFile) it.readText() else stated(bundle) }

    /** A turn of a conversation: "system", "user" or "assistant", and what was said. */
    data class Message(val role: String, val content: String)

    // edgepack:end
    /** How an answer is made. */
    data class Options(
        /** The most new tokens. */
        val maxTokens: Int = 256,
        /** 0 takes the likeliest token each time. */
        val temperature: Double = 0.0,
        /** Leaves out the least likely tokens, of which all together have 1 - topP. */
        val topP: Double = 1.0,
        /** Texts that the answer ends before. */
        val stop: List<String> = emptyList(),
        /** The same seed gives the same text again. */
        val seed: Long? = null,
    )

    /**
     * Returns the pieces of text that follow [prompt], as they are made; collecting it again makes it again.
     *
     * It ends at the model's end token, before a stop text, after maxTokens, or where the context is full. Cancelling
     * the coroutine ends it after a token. Throws [ModelException], INPUT, for a prompt that is empty or too long.
     */
    fun generate(prompt: String, options: Options = Options()): Flow<String> = pieces(options) { tokens(prompt) }

    /** Returns the token ids of a prompt, as [generate] begins with. */
    fun tokens(prompt: String): IntArray = ids(prompt, special = true)

    // edgepack:if chat
    /** Returns the pieces of the answer to a conversation, which goes through the model's chat template. */
    fun generate(messages: List<Message>, options: Options = Options()): Flow<String> =
        pieces(options) { tokens(messages) }

    /** Returns the token ids of a conversation, as [generate] begins with. Throws [ModelException], INPUT. */
    fun tokens(messages: List<Message>): IntArray {
        if (messages.isEmpty()) refused("the conversation is empty")
        val said = JSONArray(messages.map { JSONObject().put("role", it.role).put("content", it.content) }).toString()
        val text = telling("the model's chat template refuses this conversation", ModelException.Reason.INPUT) {
            Tokenizer(model).use { it.applyChatTemplate(template, said, null, true) }
        }
        return ids(text, special = false)
    }

    private fun stated(bundle: Bundle): String {
        val given = JSONObject(bundle.file("tokenizer_config.json").readText()).get("chat_template")
        if (given !is JSONArray) return given.toString()
        val named = List(given.length()) { given.getJSONObject(it) }
        return named.first { it.getString("name") == "default" }.getString("template")
    }

    // edgepack:end
    override fun close() {
        model.close()
        texts.close()
    }

    private fun ids(text: String, special: Boolean): IntArray =
        texts.encode(text, special = special).ids.map { it.toInt() }.toIntArray()

    private fun pieces(options: Options, prompt: () -> IntArray): Flow<String> = flow {
        val ids = prompt()
        if (ids.isEmpty()) refused("the prompt is empty")
        if (ids.size > longest) refused("the prompt has ${ids.size} tokens; the model takes $longest")
        parameters(options, ids.size).use { parameters ->
            telling("the model cannot be run") { Generator(model, parameters) }.use { generator ->
                telling("the prompt cannot be read") { generator.appendTokens(ids) }
                val text = Streamed(texts, ids, options.stop)
                var count = 0
                while (count < options.maxTokens && !text.ended && !generator.isDone) {
                    currentCoroutineContext().ensureActive()
                    val token = telling("the next token cannot be computed") {
                        generator.generateNextToken()
                        generator.getLastTokenInSequence(0)
                    }
                    count += 1
                    if (token in eos) break
                    text.add(token).let { if (it.isNotEmpty()) emit(it) }
                }
                text.rest().let { if (it.isNotEmpty()) emit(it) }
            }
        }
    }.flowOn(Dispatchers.Default)

    private fun parameters(options: Options, prompt: Int): GeneratorParams = telling("the options are wrong") {
        GeneratorParams(model).also { made ->
            made.setSearchOption("max_length", minOf(longest.toLong(), prompt.toLong() + options.maxTokens).toDouble())
            made.setSearchOption("do_sample", options.temperature > 0)
            made.setSearchOption("repetition_penalty", settings.getDouble("repetition_penalty"))
            if (options.temperature > 0) {
                made.setSearchOption("temperature", options.temperature)
                made.setSearchOption("top_p", options.topP)
                options.seed?.let { made.setSearchOption("random_seed", it.toDouble()) }
            }
        }
    }

    private fun <T> telling(
        what: String, reason: ModelException.Reason = ModelException.Reason.RUNTIME, call: () -> T,
    ): T = try {
        call()
    } catch (error: GenAIException) {
        throw ModelException(reason, "$what: ${error.message}", error)
    } catch (error: LinkageError) {
        throw ModelException(ModelException.Reason.LIBRARY, "onnxruntime-genai's library is not in the app", error)
    }

    companion object {
        /** Opens the bundle in the app's assets; [progress] 0..1 is about copying them, at the first start alone. */
        suspend fun load(context: Context, progress: (Float) -> Unit = {}): TextGeneration =
            withContext(Dispatchers.IO) { TextGeneration(installed(context, progress)) }
    }
}
