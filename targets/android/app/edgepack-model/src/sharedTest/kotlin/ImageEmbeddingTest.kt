package edgepack.edgepack_model

import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertTrue
import org.junit.Test

/** Vectors as the original's, from pixels on. */
class ImageEmbeddingTest {
    private val bundle = Bundle(bundleFolder())
    private val model = ImageEmbedding(bundle)

    @After
    fun close() = model.close()

    @Test
    fun goldenVectors() = checkGolden(bundle) { model.inputs(it.image) }

    @Test
    fun imagesThatGoWrongFirst() = checkInputs(setOf("image")) { model.inputs(it.image) }

    @Test
    fun anImageIsLikeItself() = runBlocking {
        val image = examples(safetensors(resource("golden_inputs.safetensors"))).first().image
        val (a, again) = model.embed(listOf(image, image))
        assertTrue(a.contentEquals(again))
    }
}
