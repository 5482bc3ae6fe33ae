package edgepack.edgepack_model

import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Logits as the original's, from pixels on. */
class ImageClassificationTest {
    private val bundle = Bundle(bundleFolder())
    private val model = ImageClassification(bundle)

    @After
    fun close() = model.close()

    @Test
    fun goldenVectors() = checkGolden(bundle) { model.inputs(it.image) }

    @Test
    fun imagesThatGoWrongFirst() = checkInputs(setOf("image")) { model.inputs(it.image) }

    @Test
    fun everyLabelHasAScoreBestFirst() = runBlocking {
        val image = examples(safetensors(resource("golden_inputs.safetensors"))).first().image
        val found = model.classify(listOf(image)).single()
        assertEquals(model.labels.toSet(), found.map { it.name }.toSet())
        assertTrue(found.zipWithNext().all { (a, b) -> a.score >= b.score })
    }

    @Test
    fun bytesThatAreNoImageAreRefused() {
        assertThrows(ModelException::class.java) { Pixels(2, 2, 3, ByteArray(11)) }
    }
}
