package edgepack.edgepack_model

import java.io.File

/** The bundle, where Gradle runs this module's tests on the developer's machine. */
internal fun bundleFolder(): File = File("@bundle_folder@")

/** A file of the tests. */
internal fun resource(name: String): ByteArray =
    checkNotNull(Bundle::class.java.getResourceAsStream("/$name")) { "$name is not among the tests' resources" }
        .use { it.readBytes() }
