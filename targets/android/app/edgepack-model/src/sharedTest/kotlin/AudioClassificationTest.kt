package edgepack.edgepack_model

import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Logits as the original's, from samples on. */
class AudioClassificationTest {
    private val bundle = Bundle(bundleFolder())
    private val model = AudioClassification(bundle)

    @After
    fun close() = model.close()

    @Test
    fun goldenVectors() = checkGolden(bundle) { example ->
        val rate = bundle.processing.getJSONObject("audio").getInt("sampling_rate")
        example.sound(rate)?.let { model.inputs(it) } ?: example.inputs
    }

    @Test
    fun everyLabelHasAScoreBestFirst() = runBlocking {
        val sound = FloatArray(9_001) { kotlin.math.sin(it / 7f) * 0.4f }
        val found = model.classify(listOf(sound)).single()
        assertEquals(model.labels.toSet(), found.map { it.name }.toSet())
        assertTrue(found.zipWithNext().all { (a, b) -> a.score >= b.score })
    }

    @Test
    fun aSoundThatIsTooShortIsRefused() {
        assertThrows(ModelException::class.java) { model.inputs(FloatArray(1)) }
    }
}
