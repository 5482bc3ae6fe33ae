package edgepack.edgepack_model

import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

/** Vectors as the original's, from texts and pixels on. */
class ZeroShotImageClassificationTest {
    private val bundle = Bundle(bundleFolder())
    private val model = ZeroShotImageClassification(bundle)

    @After
    fun close() = model.close()

    @Test
    fun goldenVectorsOfTexts() = checkGolden(bundle, "text_model") { model.inputs(it.texts.single()) }

    @Test
    fun goldenVectorsOfImages() = checkGolden(bundle, "vision_model") { model.inputs(it.image) }

    @Test
    fun textsThatGoWrongFirst() = checkInputs(setOf("text")) { model.inputs(it.texts.single()) }

    @Test
    fun imagesThatGoWrongFirst() = checkInputs(setOf("image")) { model.inputs(it.image) }

    @Test
    fun everyLabelHasAScoreBestFirst() = runBlocking {
        val image = examples(safetensors(resource("golden_inputs.safetensors")), setOf("image")).first().image
        val found = model.classify(listOf(image), listOf("a cat", "a dog")).single()
        assertEquals(setOf("a cat", "a dog"), found.map { it.name }.toSet())
        assertEquals(1f, found.map { it.score }.sum(), 1e-5f)
        assertThrows(ModelException::class.java) { runBlocking { model.classify(listOf(image), emptyList()) } }
        Unit
    }
}
