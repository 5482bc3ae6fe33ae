package edgepack.edgepack_model

import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Test

/** Logits as the original's, from pairs of texts on. */
class TextRankingTest {
    private val bundle = Bundle(bundleFolder())
    private val model = TextRanking(bundle)

    @After
    fun close() = model.close()

    @Test
    fun goldenVectors() = checkGolden(bundle) { model.inputs(it.texts[0], it.texts[1]) }

    @Test
    fun textsThatGoWrongFirst() = checkInputs(setOf("text")) { model.inputs(it.texts[0], it.texts[1]) }

    @Test
    fun passagesComeBestFirst() = runBlocking {
        val passages = listOf("It rained.", "Ada wrote it.", "The bus is late.")
        val scores = model.predict(passages.map { "Who wrote it?" to it })
        val ranked = model.rank("Who wrote it?", passages)
        assertEquals(scores.sortedDescending(), ranked.map { it.score })
        for (one in ranked) assertEquals(Ranked(one.index, scores[one.index], passages[one.index]), one)
        assertEquals(ranked.take(1), model.rank("Who wrote it?", passages, topK = 1))
    }
}
