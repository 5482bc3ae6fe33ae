package edgepack.edgepack_model

/** The text of an answer, token by token: only what no later token changes, and never a part of a stop text. */
internal class Streamed(private val texts: Texts, prompt: IntArray, private val stops: List<String>) {
    private var ids = prompt.takeLast(CONTEXT).map { it.toLong() }
    private var given = decoded().length
    private var held = ""

    /** True behind a stop text: nothing follows. */
    var ended = false
        private set

    /** Returns the text that is certain with one more token, often "". */
    fun add(token: Int): String {
        ids = ids + token.toLong()
        val text = decoded()
        if (text.endsWith(BROKEN) || text.length <= given) return "" // a character's first bytes wait for the others
        val piece = text.substring(given)
        ids = ids.takeLast(CONTEXT)
        given = decoded().length
        return beforeStop(piece)
    }

    /** Returns what was held back, when no token follows. */
    fun rest(): String {
        if (ended) return ""
        val last = beforeStop(decoded().drop(given))
        return if (ended) last else last + held.also { held = "" }
    }

    private fun decoded(): String = texts.decode(ids.toLongArray())

    private fun beforeStop(piece: String): String {
        val text = held + piece
        val end = stops.map { stop -> text.indexOf(stop) to stop }.filter { it.first >= 0 }
            .minByOrNull { (place, stop) -> place + stop.length }
        if (end != null) {
            ended = true
            held = ""
            return text.take(end.first)
        }
        val open = stops.maxOfOrNull { stop -> begun(text, stop) } ?: 0
        held = text.takeLast(open)
        return text.dropLast(open)
    }

    /** How many characters at the end of [text] begin [stop]. */
    private fun begun(text: String, stop: String): Int =
        (minOf(stop.length - 1, text.length) downTo 1).firstOrNull { text.endsWith(stop.take(it)) } ?: 0

    private companion object {
        const val CONTEXT = 4 // tokens that tell what comes before a piece: a space, or the first bytes of a character
        const val BROKEN = "\ufffd"
    }
}
