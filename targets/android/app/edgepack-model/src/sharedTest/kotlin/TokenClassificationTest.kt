package edgepack.edgepack_model

import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** Logits as the original's, from texts on. */
class TokenClassificationTest {
    private val bundle = Bundle(bundleFolder())
    private val model = TokenClassification(bundle)

    @After
    fun close() = model.close()

    @Test
    fun goldenVectors() = checkGolden(bundle) { model.inputs(it.texts.single()) }

    @Test
    fun textsThatGoWrongFirst() = checkInputs(setOf("text")) { model.inputs(it.texts.single()) }

    @Test
    fun aSpanIsOfTheText() = runBlocking {
        val text = "👍 Ada lovelace wrote the first program in london"
        for (entity in model.tag(listOf(text)).single()) {
            assertEquals(text.substring(entity.start, entity.end), entity.text)
            assertTrue(entity.label in model.labels)
        }
    }
}
