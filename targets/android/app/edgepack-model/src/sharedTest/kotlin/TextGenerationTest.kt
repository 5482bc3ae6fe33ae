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
    fun textsThatGoWrongFirst() = checkInputs(setOf("text")) { example ->
        val ids = model.tokens(example.texts.single())
        mapOf("input_ids" to Longs(longArrayOf(1, ids.size.toLong()), LongArray(ids.size) { ids[it].toLong() }))
    }

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

    private companion object {
        const val PROMPT = "Once upon a time"
    }
}
