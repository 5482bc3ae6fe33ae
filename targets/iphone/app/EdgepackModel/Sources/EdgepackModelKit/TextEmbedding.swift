import CoreML
import Foundation

/// @model@: texts as vectors of @width@ numbers; of a text of more than @max_length@ tokens the end is left out.
public final class TextEmbedding: Sendable {
    private let bundle: ModelBundle
    private let own: Prompts
    private let texts: Texts
    private let model: CoreMLModel

    /// Opens the bundle in this package. Call `prewarm` before the first text that somebody waits for.
    ///
    /// - Parameter units: nil chooses what suits the model.
    public init(bundle: ModelBundle? = nil, units: MLComputeUnits? = nil) async throws {
        let bundle = try bundle ?? ModelBundle.included()
        self.bundle = bundle
        own = Prompts(bundle: bundle)
        texts = try await Texts(bundle: bundle)
        model = try CoreMLModel(bundle: bundle, units: units)
    }

    /// Compiles (at the first start), loads and runs the model once; `progress` is told 0...1.
    public func prewarm(progress: @Sendable (Double) -> Void = { _ in }) async throws {
        _ = try await model.load(progress: progress)
        _ = try await embed(["a"])
        progress(1)
    }

    /// The texts that the model was trained to find in front of others, by name.
    public var prompts: [String: String] { own.byName }

    /// Returns a vector of @width@ numbers for each text.
    ///
    /// - Parameters:
    ///   - promptName: one of `prompts`, put in front of each text; by default it is the model's own choice.
    ///   - prompt: a text of your own in its place, "" for none.
    public func embed(
        _ texts: [String], promptName: String? = nil, prompt: String? = nil
    ) async throws -> [[Float]] {
        guard let output = bundle.manifest.processing.answer?.output else {
            throw ModelError.bundleDamaged("edgepack.json does not name the output that is the vector")
        }
        let start = try own.chosen(promptName, prompt)
        var vectors: [[Float]] = []
        for text in texts {
            try Task.checkCancellation()
            let inputs = try self.texts.inputs(self.texts.ids(start + text))
            vectors.append(try await model.predict(inputs).floats(output))
        }
        return vectors
    }

    /// Returns how alike two vectors are, by @similarity@: larger is more alike.
    public func similarity(_ a: [Float], _ b: [Float]) throws -> Float {
        guard a.count == b.count else { throw ModelError.input("vectors of \(a.count) and \(b.count) numbers") }
        let dot = { (x: [Float], y: [Float]) in zip(x, y).reduce(Float(0)) { $0 + $1.0 * $1.1 } }
        let apart = zip(a, b).map { abs($0 - $1) }
        switch bundle.manifest.processing.answer?.similarity {
        case "cosine": return dot(a, b) / (dot(a, a).squareRoot() * dot(b, b).squareRoot())
        case "dot": return dot(a, b)
        case "euclidean": return -dot(apart, apart).squareRoot()
        case "manhattan": return -apart.reduce(0, +)
        default: throw ModelError.bundleDamaged("edgepack.json does not say how vectors are compared")
        }
    }

    /// Gives the model's memory back; the next call loads it again. Memory warnings do so by themselves.
    public func unload() async { await model.unload() }

    func ids(_ text: String) throws -> [Int] { texts.ids(try own.chosen() + text) }
}
