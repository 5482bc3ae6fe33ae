package edgepack.samples.search

import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Test

/** The search, with a model of letters in the place of the real one. */
class IndexTest {
    private val letters: suspend (List<String>) -> List<FloatArray> = { texts ->
        texts.map { text -> FloatArray(26) { letter -> text.lowercase().count { it == 'a' + letter }.toFloat() } }
    }

    @Test
    fun theNearestNoteComesFirst() = runBlocking {
        val index = Index.of(listOf("zzz", "tyre", "bread"), letters) { a, b -> -a.indices.sumOf { (a[it] - b[it]).toDouble() * (a[it] - b[it]) }.toFloat() }
        assertEquals(listOf("tyre", "bread"), index.search("tyre", count = 2).map { it.note })
    }
}
