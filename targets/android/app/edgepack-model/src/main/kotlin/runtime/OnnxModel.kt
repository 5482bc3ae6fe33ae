package edgepack.edgepack_model

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtSession
import java.nio.FloatBuffer
import java.nio.LongBuffer

/** Values with a shape, as a model takes and gives them. */
internal sealed interface Tensor {
    val shape: LongArray
}

internal class Floats(override val shape: LongArray, val values: FloatArray) : Tensor

internal class Longs(override val shape: LongArray, val values: LongArray) : Tensor

/** One of the bundle's models, opened by onnxruntime. Threads may share it. */
internal class OnnxModel(bundle: Bundle, name: String, threads: Int) : AutoCloseable {
    private val environment = OrtEnvironment.getEnvironment()
    private val session: OrtSession = telling("${bundle.file(bundle.model(name).getString("file"))} cannot be opened") {
        OrtSession.SessionOptions().use { options ->
            options.setIntraOpNumThreads(threads)
            environment.createSession(bundle.file(bundle.model(name).getString("file")).path, options)
        }
    }

    /** Computes the float32 output [output] of the [inputs]. */
    fun run(inputs: Map<String, Tensor>, output: String): Floats = telling("the model cannot be run") {
        val given = mutableMapOf<String, OnnxTensor>()
        try {
            for ((name, tensor) in inputs) given[name] = made(tensor)
            session.run(given, setOf(output)).use { result -> read(result.get(output).get() as OnnxTensor) }
        } finally {
            given.values.forEach { it.close() }
        }
    }

    override fun close() = session.close()

    private fun made(tensor: Tensor): OnnxTensor = when (tensor) {
        is Floats -> OnnxTensor.createTensor(environment, FloatBuffer.wrap(tensor.values), tensor.shape)
        is Longs -> OnnxTensor.createTensor(environment, LongBuffer.wrap(tensor.values), tensor.shape)
    }

    private fun read(tensor: OnnxTensor): Floats {
        val buffer = tensor.floatBuffer
        return Floats(tensor.info.shape, FloatArray(buffer.remaining()).also { buffer.get(it) })
    }

    private fun <T> telling(what: String, call: () -> T): T = try {
        call()
    } catch (error: OrtException) {
        throw ModelException(ModelException.Reason.RUNTIME, "$what: ${error.message}", error)
    } catch (error: UnsatisfiedLinkError) {
        throw ModelException(ModelException.Reason.LIBRARY, "onnxruntime's native library is not in the app", error)
    }
}
