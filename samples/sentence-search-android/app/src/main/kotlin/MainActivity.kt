package edgepack.samples.search

import android.app.Activity
import android.os.Bundle
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.TextView
import edgepack.sentence_search.ModelException
import edgepack.sentence_search.SentenceSearch
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch

/** A field for the question, and below it the notes that answer it best. */
class MainActivity : Activity() {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Main)
    private var model: SentenceSearch? = null

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        val question = EditText(this)
        val answers = TextView(this)
        question.hint = "How do I fix a flat tyre?"
        setContentView(LinearLayout(this).apply {
            orientation = LinearLayout.VERTICAL
            addView(question)
            addView(answers)
        })
        scope.launch {
            try {
                val opened = SentenceSearch.load(this@MainActivity) { share -> answers.post { answers.text = told(share) } }
                model = opened
                val notes = assets.open("notes.txt").bufferedReader().use { it.readLines() }.filter { it.isNotBlank() }
                val index = Index.of(notes, { opened.embed(it) }, opened::similarity)
                answers.text = ""
                question.setOnEditorActionListener { _, _, _ ->
                    scope.launch { answers.text = index.search(question.text.toString()).joinToString("\n\n") { it.note } }
                    true
                }
            } catch (error: ModelException) {
                answers.text = error.message
            }
        }
    }

    override fun onDestroy() {
        scope.cancel()
        model?.close()
        super.onDestroy()
    }

    private fun told(share: Float): String = "Getting ready, ${(100 * share).toInt()} %"
}
