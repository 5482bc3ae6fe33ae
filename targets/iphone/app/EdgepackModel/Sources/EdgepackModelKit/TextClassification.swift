import CoreML
import Foundation

/// @model@: @labels@ labels of texts; what is longer than @max_length@ tokens is cut.
public final class TextClassification: Sendable {
    private let bundle: ModelBundle
    private let answer: Manifest.Answer
    private let texts: Texts
    private let model: CoreMLModel

    /// Opens the bundle in this package. Call `prewarm` before the first text that somebody waits for.
    ///
    /// - Parameter units: nil chooses what suits the model.
    public init(bundle: ModelBundle? = nil, units: MLComputeUnits? = nil) async throws {
        let bundle = try bundle ?? ModelBundle.included()
        guard let answer = bundle.manifest.processing.answer else {
            throw ModelError.bundleDamaged("edgepack.json does not say how logits become labels")
        }
        self.bundle = bundle
        self.answer = answer
        texts = try await Texts(bundle: bundle)
        model = try CoreMLModel(bundle: bundle, units: units)
    }

    /// The names of all labels, in the model's order.
    public var labels: [String] { answer.labels ?? [] }

    /// Compiles (at the first start), loads and runs the model once; `progress` is told 0...1.
    public func prewarm(progress: @Sendable (Double) -> Void = { _ in }) async throws {
        _ = try await model.load(progress: progress)
        _ = try await classify(["a"])
        progress(1)
    }

    /// Returns the labels of each text with their scores, best first.
    public func classify(_ texts: [String]) async throws -> [[ScoredLabel]] {
        var found: [[ScoredLabel]] = []
        for text in texts {
            try Task.checkCancellation()
            found.append(try answer.labels(await logits(text)))
        }
        return found
    }

    /// Gives the model's memory back; the next call loads it again. Memory warnings do so by themselves.
    public func unload() async { await model.unload() }

    func ids(_ text: String) -> [Int] { texts.ids(text) }

    func logits(_ text: String) async throws -> [Float] {
        try await model.predict(texts.inputs(ids(text))).floats("logits")
    }
}
