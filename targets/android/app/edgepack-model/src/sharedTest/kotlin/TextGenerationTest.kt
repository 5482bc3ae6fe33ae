package edgepack.edgepack_model

import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Logits as the original's, tokens as its tokenizer makes them, and text that comes in pieces. */
class TextGenerationTest {
    private val bundle = Bundle(bundleFolder())
    private val model = TextGeneration(bundle)

    @After
    fun close() = model.close()

    @Test
    fun goldenVectors() = checkGolden(bundle, make = null)

    @Test
    fun textsThatGoWrongFirst() = checkInputs(setOf("text")) { row(model.tokens(it.texts.single())) }

    // edgepack:if chat
    @Test
    fun conversationsThatGoWrongFirst() = checkInputs(setOf("messages")) { row(model.tokens(it.messages)) }

    @Test
    fun aConversationIsAnswered() = runBlocking {
        val said = listOf(TextGeneration.Message("user", "Hello"))
        assertTrue(model.generate(said, TextGeneration.Options(maxTokens = 8)).toList().isNotEmpty())
    }

    @Test
    fun aConversationThatIsNoneIsRefused() {
        val error = assertThrows(ModelException::class.java) { model.tokens(emptyList<TextGeneration.Message>()) }
        assertEquals(ModelException.Reason.INPUT, error.reason)
    }

    // edgepack:end

    @Test
    fun theLikeliestTextIsTheSameAgain() = runBlocking {
        val options = TextGeneration.Options(maxTokens = 8)
        val pieces = model.generate(PROMPT, options).toList()
        assertTrue(pieces.joinToString("").isNotEmpty())
        assertEquals(pieces, model.generate(PROMPT, options).toList())
    }

    @Test
    fun aStopTextEndsIt() = runBlocking {
        val text = model.generate(PROMPT, TextGeneration.Options(maxTokens = 8)).toList().joinToString("")
        val options = TextGeneration.Options(maxTokens = 8, stop = listOf(text.drop(1)))
        assertEquals(text.take(1), model.generate(PROMPT, options).toList().joinToString(""))
    }

    @Test
    fun aPromptThatIsTooLongIsRefused() {
        val error = assertThrows(ModelException::class.java) {
            runBlocking { model.generate("a long text, ".repeat(20_000)).toList() }
        }
        assertEquals(ModelException.Reason.INPUT, error.reason)
    }

    private fun row(ids: IntArray): Map<String, Tensor> =
        mapOf("input_ids" to Longs(longArrayOf(1, ids.size.toLong()), LongArray(ids.size) { ids[it].toLong() }))

    private companion object {
        const val PROMPT = "Once upon a time"
    }
}
