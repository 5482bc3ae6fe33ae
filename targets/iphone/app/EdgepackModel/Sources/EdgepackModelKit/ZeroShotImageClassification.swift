import CoreGraphics
import CoreML
import CoreVideo
import Foundation

/// @model@: how well labels of your own fit images; both also become vectors of @width@ numbers.
public final class ZeroShotImageClassification: Sendable {
    private let match: Manifest.Answer
    private let texts: Texts
    private let images: Images
    private let textModel: CoreMLModel
    private let visionModel: CoreMLModel

    /// Opens the bundle in this package. Call `prewarm` before the first image that somebody waits for.
    ///
    /// - Parameter units: nil chooses what suits the model.
    public init(bundle: ModelBundle? = nil, units: MLComputeUnits? = nil) async throws {
        let bundle = try bundle ?? ModelBundle.included()
        guard let match = bundle.manifest.processing.answer, let image = bundle.manifest.processing.image else {
            throw ModelError.bundleDamaged("edgepack.json does not say how images and texts are compared")
        }
        self.match = match
        texts = try await Texts(bundle: bundle, model: "text_model")
        images = Images(image: image)
        textModel = try CoreMLModel(bundle: bundle, name: "text_model", units: units)
        visionModel = try CoreMLModel(bundle: bundle, name: "vision_model", units: units)
    }

    /// Compiles (at the first start), loads and runs the model once; `progress` is told 0...1.
    public func prewarm(progress: @Sendable (Double) -> Void = { _ in }) async throws {
        _ = try await textModel.load { progress($0 / 2) }
        _ = try await visionModel.load { progress(0.5 + $0 / 2) }
        let grey = Pixels.made(size.height, size.width, images.image.channels) { _, _, _ in 127 }
        _ = try await classify([grey], labels: ["a"])
        progress(1)
    }

    /// Returns the `labels` with their scores for each image, best first; the scores of one image add up to 1.
    ///
    /// - Parameter template: the text that a label becomes, with {} in its place; nil: the model's own.
    public func classify(_ images: [Pixels], labels: [String], template: String? = nil) async throws -> [[ScoredLabel]] {
        let form = template ?? match.template ?? "{}"
        guard !labels.isEmpty else { throw ModelError.input("there are no labels to choose from") }
        guard form.contains("{}") else { throw ModelError.input("the template \(form) has no {} for the label") }
        let sentences = labels.map { form.replacingOccurrences(of: "{}", with: $0) }
        let named = try await embedTexts(sentences).map(unit)
        return try await embedImages(images).map(unit).map { image in
            let cosines = named.map { dot(image, $0) * (match.scale ?? 1) }
            let weights = cosines.map { exp($0 - (cosines.max() ?? 0)) }
            let total = weights.reduce(0, +)
            return zip(labels, weights).map { ScoredLabel(name: $0, score: $1 / total) }.sorted { $0.score > $1.score }
        }
    }

    /// Returns the `labels` with their scores for an image, best first.
    public func classify(_ image: CGImage, labels: [String]) async throws -> [ScoredLabel] {
        try await classify([Pixels(image)], labels: labels)[0]
    }

    /// Returns a vector of @width@ numbers for each text, not normalised.
    public func embedTexts(_ texts: [String]) async throws -> [[Float]] {
        var vectors: [[Float]] = []
        for text in texts {
            let inputs = try self.texts.inputs(ids(text))
            vectors.append(try await textModel.predict(inputs).floats(match.textOutput ?? ""))
        }
        return vectors
    }

    /// Returns a vector of @width@ numbers for each image, not normalised.
    public func embedImages(_ images: [Pixels]) async throws -> [[Float]] {
        var vectors: [[Float]] = []
        for image in images {
            let inputs = ["image": MLFeatureValue(pixelBuffer: try prepared(image).buffer())]
            vectors.append(try await visionModel.predict(inputs).floats(match.imageOutput ?? ""))
        }
        return vectors
    }

    /// Gives the models' memory back; the next call loads them again. Memory warnings do so by themselves.
    public func unload() async {
        await textModel.unload()
        await visionModel.unload()
    }

    var size: Manifest.Image.Size { images.image.size }

    func ids(_ text: String) -> [Int] { texts.ids(text) }

    func prepared(_ image: Pixels) throws -> Pixels { try images.prepared(image) }

    private func dot(_ a: [Float], _ b: [Float]) -> Float { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }

    private func unit(_ vector: [Float]) -> [Float] {
        let length = dot(vector, vector).squareRoot()
        return vector.map { length == 0 ? 0 : $0 / length }
    }
}
