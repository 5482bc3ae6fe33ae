package edgepack.edgepack_model

/** Why a call did not work; [reason] is for code, [message] for people. */
class ModelException(val reason: Reason, message: String, cause: Throwable? = null) : Exception(message, cause) {
    /** What is wrong. */
    enum class Reason {
        /** A file of the bundle is missing, or is not the one that the model was built with. */
        BUNDLE_DAMAGED,

        /** The device has too little free space for the model's files. */
        NO_SPACE,

        /** A native library is missing or of another version than the code that calls it. */
        LIBRARY,

        /** The input is empty, too long, or of a kind that the model does not take. */
        INPUT,

        /** The runtime could not compute. */
        RUNTIME,
    }
}

internal fun damaged(message: String, cause: Throwable? = null): Nothing =
    throw ModelException(ModelException.Reason.BUNDLE_DAMAGED, message, cause)

internal fun refused(message: String): Nothing = throw ModelException(ModelException.Reason.INPUT, message)
