package edgepack.edgepack_model

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Files that are not the bundle's are found before they are opened. */
class BundleTest {
    @Test
    fun everyFileIsTheBundles() {
        assertTrue(Bundle(bundleFolder()).models.isNotEmpty())
    }

    // edgepack:if text generation
    @Test
    fun anotherTokenizerIsFoundAndBothFilesAreNamed() {
        val copy = copied()
        val tokenizer = copy.walk().first { it.name == "tokenizer.json" }
        tokenizer.appendText(" ")
        val error = assertThrows(ModelException::class.java) { Bundle(copy) }
        assertEquals(ModelException.Reason.BUNDLE_DAMAGED, error.reason)
        val whole = Bundle(bundleFolder())
        val model = whole.model(whole.models.first()).getJSONArray("files").getString(0)
        val names = "${tokenizer.relativeTo(copy).path} and $model do not belong together"
        assertTrue(error.message, names in error.message!!)
        copy.deleteRecursively()
    }

    // edgepack:end
    @Test
    fun aMissingFileIsNamed() {
        val copy = copied()
        File(copy, "LICENSE").delete()
        File(copy, "NOTICE").delete()
        File(copy, "MODEL_CARD.md").delete()
        val error = assertThrows(ModelException::class.java) { Bundle(copy) }
        assertTrue(error.message, "is missing" in error.message!!)
        copy.deleteRecursively()
    }

    private fun copied(): File {
        val copy = File.createTempFile("bundle", "").also { it.delete() }
        bundleFolder().copyRecursively(copy)
        return copy
    }
}
