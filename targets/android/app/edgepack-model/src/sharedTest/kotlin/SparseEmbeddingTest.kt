package edgepack.edgepack_model

import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Vectors as the original's, from texts on. */
class SparseEmbeddingTest {
    private val bundle = Bundle(bundleFolder())
    private val model = SparseEmbedding(bundle)

    @After
    fun close() = model.close()

    @Test
    fun goldenVectors() = checkGolden(bundle) { model.inputs(it.texts.single()) }

    @Test
    fun textsThatGoWrongFirst() = checkInputs(setOf("text")) { model.inputs(it.texts.single()) }

    @Test
    fun theLargestNumbersAreKept() = runBlocking {
        val whole = model.embed(listOf("A cat sleeps.")).single()
        val short = model.embed(listOf("A cat sleeps."), maxActiveDims = 3).single()
        assertTrue(whole.values.all { it > 0f })
        assertEquals(whole.indices.sorted(), whole.indices.toList())
        assertTrue(whole.indices.toSet().containsAll(short.indices.toSet()))
        assertEquals(whole.values.sortedDescending().take(3), model.weights(short).map { it.second })
        val squares = short.values.map { it * it }.sum()
        assertEquals(squares, model.similarity(whole, short), 1e-4f * squares)
        assertEquals(0, model.embed(emptyList()).size)
    }

    @Test
    fun aPromptIsANameOfTheModelsOrATextOfOnesOwn() = runBlocking {
        val own = model.embed(listOf("cat sleeps."), prompt = "A ").single()
        assertArrayEquals(model.embed(listOf("A cat sleeps."), prompt = "").single().values, own.values, 0f)
        for ((name, text) in model.prompts) {
            val named = model.embed(listOf("A cat."), promptName = name).single()
            assertArrayEquals(model.embed(listOf("A cat."), prompt = text).single().indices, named.indices)
        }
        for ((name, text) in listOf("none such" to null, "a" to "b")) {
            val error = assertThrows(ModelException::class.java) {
                runBlocking { model.embed(listOf("A"), promptName = name, prompt = text) }
            }
            assertEquals(ModelException.Reason.INPUT, error.reason)
        }
    }
}
