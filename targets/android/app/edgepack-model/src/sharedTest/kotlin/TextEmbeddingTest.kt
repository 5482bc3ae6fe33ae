package edgepack.edgepack_model

import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** Vectors as the original's, from texts on. */
class TextEmbeddingTest {
    private val bundle = Bundle(bundleFolder())
    private val model = TextEmbedding(bundle)

    @After
    fun close() = model.close()

    @Test
    fun goldenVectors() = checkGolden(bundle) { model.inputs(it.texts.single()) }

    @Test
    fun textsThatGoWrongFirst() = checkInputs(setOf("text")) { model.inputs(it.texts.single()) }

    @Test
    fun aTextIsLikeItself() = runBlocking {
        val (a, again, other) = model.embed(listOf("A cat sleeps.", "A cat sleeps.", "Interest rates rose."))
        assertTrue(a.contentEquals(again))
        assertTrue(model.similarity(a, again) > model.similarity(a, other))
        assertEquals(0, model.embed(emptyList()).size)
    }
}
