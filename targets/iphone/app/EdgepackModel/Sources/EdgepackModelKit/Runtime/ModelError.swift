import Foundation

/// Why a call did not work.
public enum ModelError: Error, LocalizedError, Equatable {
    /// A file of the bundle is missing, or is not the one that the model was built with.
    case bundleDamaged(String)
    // edgepack:if background-assets
    /// The asset pack with the model was not downloaded.
    case download(String)
    // edgepack:end
    /// The input is empty, too long, or of a kind that the model does not take.
    case input(String)
    /// The device has too little memory for the model, in bytes.
    case memory(needed: Int64, available: Int64)
    /// The tokenizer cannot be used.
    case tokenizer(String)
    /// Core ML could not compute.
    case runtime(String)

    public var errorDescription: String? {
        switch self {
        // edgepack:if background-assets
        case .download(let told):
            return told
        // edgepack:end
        case .bundleDamaged(let told), .input(let told), .tokenizer(let told), .runtime(let told):
            return told
        case .memory(let needed, let available):
            return "the model takes about \(needed / 1_000_000) MB, and the app may take \(available / 1_000_000) MB"
        }
    }
}
