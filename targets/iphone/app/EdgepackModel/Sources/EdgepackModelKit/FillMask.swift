import CoreML
import Foundation

/// A token for the mask, its probability, and the text with it.
public struct Filled: Sendable, Equatable {
    public let token: String
    public let score: Float
    public let text: String
}

/// @model@: the likeliest tokens in the place of a mask; texts have at most @max_length@ tokens.
public final class FillMask: Sendable {
    private let answer: Manifest.Answer
    private let texts: Texts
    private let model: CoreMLModel

    /// Opens the bundle in this package. Call `prewarm` before the first text that somebody waits for.
    ///
    /// - Parameter units: nil chooses what suits the model.
    public init(bundle: ModelBundle? = nil, units: MLComputeUnits? = nil) async throws {
        let bundle = try bundle ?? ModelBundle.included()
        guard let answer = bundle.manifest.processing.answer, answer.maskId != nil else {
            throw ModelError.bundleDamaged("edgepack.json does not name the mask")
        }
        self.answer = answer
        texts = try await Texts(bundle: bundle)
        model = try CoreMLModel(bundle: bundle, units: units)
    }

    /// What stands for the token that is sought.
    public var mask: String { answer.maskToken ?? "" }

    /// Compiles (at the first start), loads and runs the model once; `progress` is told 0...1.
    public func prewarm(progress: @Sendable (Double) -> Void = { _ in }) async throws {
        _ = try await model.load(progress: progress)
        _ = try await fill([mask])
        progress(1)
    }

    /// Returns the `top` tokens for the first mask of each text, best first.
    public func fill(_ texts: [String], top: Int = 5) async throws -> [[Filled]] {
        var found: [[Filled]] = []
        for text in texts {
            try Task.checkCancellation()
            found.append(try await filled(text, top))
        }
        return found
    }

    /// Gives the model's memory back; the next call loads it again. Memory warnings do so by themselves.
    public func unload() async { await model.unload() }

    func ids(_ text: String) -> [Int] { texts.ids(text) }

    func logits(_ text: String) async throws -> [Float] {
        try await model.predict(texts.inputs(ids(text))).floats("logits")
    }

    private func filled(_ text: String, _ top: Int) async throws -> [Filled] {
        var ids = self.ids(text)
        guard let place = ids.firstIndex(where: { $0 == answer.maskId }) else {
            throw ModelError.input("the text has no \(mask)")
        }
        let outputs = try await model.predict(texts.inputs(ids))
        guard let width = outputs.featureValue(for: "logits")?.multiArrayValue?.shape.last?.intValue else {
            throw ModelError.runtime("the model gives no logits")
        }
        let row = Array(try outputs.floats("logits")[(place * width)..<((place + 1) * width)])
        let largest = row.max() ?? 0
        let weights = row.map { exp(Double($0 - largest)) }
        let total = weights.reduce(0, +)
        let several = ids.filter { $0 == answer.maskId }.count > 1
        return weights.indices.sorted { weights[$0] > weights[$1] }.prefix(top).map { token in
            ids[place] = token
            return Filled(
                token: texts.tokenizer.decode(tokens: [token], skipSpecialTokens: false),
                score: Float(weights[token] / total),
                text: texts.tokenizer.decode(tokens: ids, skipSpecialTokens: !several))
        }
    }
}
