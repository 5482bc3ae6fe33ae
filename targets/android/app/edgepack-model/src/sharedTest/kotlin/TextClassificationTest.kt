package edgepack.edgepack_model

import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** Logits as the original's, from texts on. */
class TextClassificationTest {
    private val bundle = Bundle(bundleFolder())
    private val model = TextClassification(bundle)

    @After
    fun close() = model.close()

    @Test
    fun goldenVectors() = checkGolden(bundle) { model.inputs(it.texts[0], it.texts.getOrNull(1)) }

    @Test
    fun textsThatGoWrongFirst() = checkInputs(setOf("text")) { model.inputs(it.texts[0], it.texts.getOrNull(1)) }

    @Test
    fun everyLabelHasAScoreBestFirst() = runBlocking {
        for (found in model.classify(listOf("A text.")) + listOf(model.classify("A text.", "Another."))) {
            assertEquals(model.labels.toSet(), found.map { it.name }.toSet())
            assertTrue(found.zipWithNext().all { (a, b) -> a.score >= b.score })
        }
    }
}
