package edgepack.edgepack_model

import androidx.test.platform.app.InstrumentationRegistry
import java.io.File

/** The bundle, as the app on the device has it: copied from its assets. */
internal fun bundleFolder(): File = installed(InstrumentationRegistry.getInstrumentation().targetContext) {}.folder

/** A file of the tests. */
internal fun resource(name: String): ByteArray =
    checkNotNull(Bundle::class.java.getResourceAsStream("/$name")) { "$name is not among the tests' resources" }
        .use { it.readBytes() }
