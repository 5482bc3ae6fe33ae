package edgepack.samples.search

/** A note, and how alike it is to what was asked. */
data class Found(val note: String, val score: Float)

/** Notes and their vectors; [embed] makes vectors of texts, [alike] compares two. */
class Index private constructor(
    private val notes: List<String>,
    private val vectors: List<FloatArray>,
    private val embed: suspend (List<String>) -> List<FloatArray>,
    private val alike: (FloatArray, FloatArray) -> Float,
) {
    /** Returns the [count] notes that mean most nearly what [question] asks. */
    suspend fun search(question: String, count: Int = 3): List<Found> {
        val asked = embed(listOf(question)).single()
        return notes.indices.map { Found(notes[it], alike(asked, vectors[it])) }.sortedByDescending { it.score }.take(count)
    }

    companion object {
        /** Makes the index of [notes]. */
        suspend fun of(
            notes: List<String>,
            embed: suspend (List<String>) -> List<FloatArray>,
            alike: (FloatArray, FloatArray) -> Float,
        ): Index = Index(notes, embed(notes), embed, alike)
    }
}
