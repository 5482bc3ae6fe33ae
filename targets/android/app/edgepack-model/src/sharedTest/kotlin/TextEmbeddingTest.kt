package edgepack.edgepack_model

import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
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

    @Test
    fun aPromptIsANameOfTheModelsOrATextOfOnesOwn() = runBlocking {
        if (bundle.processing.getJSONObject("text").optBoolean("include_prompt", true)) {
            val own = model.embed(listOf("cat sleeps."), prompt = "A ").single()
            assertTrue(own.contentEquals(model.embed(listOf("A cat sleeps."), prompt = "").single()))
        }
        for ((name, text) in model.prompts) {
            val named = model.embed(listOf("A cat."), promptName = name).single()
            assertTrue(named.contentEquals(model.embed(listOf("A cat."), prompt = text).single()))
        }
        for ((name, text) in listOf("none such" to null, "a" to "b")) {
            val error = assertThrows(ModelException::class.java) { runBlocking { model.embed(listOf("A"), name, text) } }
            assertEquals(ModelException.Reason.INPUT, error.reason)
        }
    }
}
