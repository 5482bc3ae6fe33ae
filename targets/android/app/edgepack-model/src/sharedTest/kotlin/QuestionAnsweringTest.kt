package edgepack.edgepack_model

import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** Logits as the original's, from a question and a context on. */
class QuestionAnsweringTest {
    private val bundle = Bundle(bundleFolder())
    private val model = QuestionAnswering(bundle)

    @After
    fun close() = model.close()

    @Test
    fun goldenVectors() = checkGolden(bundle) { model.inputs(it.texts[0], it.texts[1]) }

    @Test
    fun textsThatGoWrongFirst() = checkInputs(setOf("text")) { model.inputs(it.texts[0], it.texts[1]) }

    @Test
    fun anAnswerIsOfTheContext() = runBlocking {
        val context = "👍 ada lovelace wrote the first program in london. ".repeat(60)
        val found = model.answer("who wrote the first program", context)
        assertEquals(context.substring(found.start, found.end), found.text)
        assertTrue(found.text.isNotEmpty())
        assertEquals(Answer("", 0, 0, 0f), model.answer("who", ""))
    }
}
