package edgepack.edgepack_model

import ai.onnxruntime.genai.GenAIException
import ai.onnxruntime.genai.Generator
import ai.onnxruntime.genai.GeneratorParams
import ai.onnxruntime.genai.Model
import android.content.Context
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.flowOn
import kotlinx.coroutines.withContext

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
    fun generate(prompt: String, options: Options = Options()): Flow<String> = flow {
        val ids = tokens(prompt)
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

    /** Returns the token ids of a prompt, as [generate] begins with. */
    fun tokens(prompt: String): IntArray = texts.encode(prompt).ids.map { it.toInt() }.toIntArray()

    override fun close() {
        model.close()
        texts.close()
    }

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

    private fun <T> telling(what: String, call: () -> T): T = try {
        call()
    } catch (error: GenAIException) {
        throw ModelException(ModelException.Reason.RUNTIME, "$what: ${error.message}", error)
    } catch (error: LinkageError) {
        throw ModelException(ModelException.Reason.LIBRARY, "onnxruntime-genai's library is not in the app", error)
    }

    companion object {
        /** Opens the bundle in the app's assets; [progress] 0..1 is about copying them, at the first start alone. */
        suspend fun load(context: Context, progress: (Float) -> Unit = {}): TextGeneration =
            withContext(Dispatchers.IO) { TextGeneration(installed(context, progress)) }
    }
}
