package edgepack.edgepack_model

import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Logits as the original's, from texts on. */
class FillMaskTest {
    private val bundle = Bundle(bundleFolder())
    private val model = FillMask(bundle)

    @After
    fun close() = model.close()

    @Test
    fun goldenVectors() = checkGolden(bundle) { model.inputs(it.texts.single()) }

    @Test
    fun textsThatGoWrongFirst() = checkInputs(setOf("text")) { model.inputs(it.texts.single()) }

    @Test
    fun aMaskIsFilledBestFirst() = runBlocking {
        val found = model.fill(listOf("rain fell on ${model.mask} all day")).single()
        assertEquals(5, found.size)
        assertTrue(found.zipWithNext().all { (a, b) -> a.score >= b.score })
        assertTrue(found.none { model.mask in it.text })
        assertThrows(ModelException::class.java) { runBlocking { model.fill(listOf("no such place")) } }
        Unit
    }
}
