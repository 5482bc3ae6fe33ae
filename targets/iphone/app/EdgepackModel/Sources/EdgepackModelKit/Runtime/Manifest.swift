import Foundation

/// What edgepack.json says of the bundle, as far as this package uses it.
struct Manifest: Decodable, Sendable {
    struct File: Decodable, Sendable {
        let sha256: String
        let bytes: Int64
    }

    struct Model: Decodable, Sendable {
        let file: String
        let files: [String]
        let inputs: [Feature]
        let golden: Golden
    }

    struct Feature: Decodable, Sendable {
        let name: String
        let shape: [Side]

        /// True if the model takes inputs of many sizes, which keeps it off the Neural Engine.
        var ranged: Bool { shape.contains { $0.text?.contains("..") ?? false } }
    }

    /// A side of a shape: a number, or "1..256".
    struct Side: Decodable, Sendable {
        let number: Int?
        let text: String?

        init(from decoder: Swift.Decoder) throws {
            let value = try decoder.singleValueContainer()
            number = try? value.decode(Int.self)
            text = try? value.decode(String.self)
        }
    }

    struct Golden: Decodable, Sendable {
        let file: String
        let output: String
        let leastCosine: Double
    }

    struct Processing: Decodable, Sendable {
        // edgepack:if text generation
        let text: Text?
        // edgepack:end
        // edgepack:if image
        let image: Image?
        // edgepack:end
        // edgepack:if audio
        let audio: Audio?
        // edgepack:end
        // edgepack:if generation
        let generation: Generation?
        // edgepack:end
        // edgepack:if diffusion
        let diffusion: Diffusion?
        let schedule: Schedule?
        // edgepack:end
        let answer: Answer?
    }

    // edgepack:if text generation
    struct Text: Decodable, Sendable {
        let inputs: [String]
        let maxLength: Int
        let padId: Int
        let paddingSide: String
        let truncationSide: String
        let prompts: [String: String]?
        let defaultPrompt: String?
        let includePrompt: Bool?
    }

    // edgepack:end
    // edgepack:if image
    struct Image: Decodable, Sendable {
        struct Size: Decodable, Sendable {
            let height: Int
            let width: Int
        }

        struct Step: Decodable, Sendable {
            let op: String
            let resample: String?
            let height: Int?
            let width: Int?
            let shortestEdge: Int?
            let longestEdge: Int?
            let multipleOf: Int?
            let maxHeight: Int?
            let maxWidth: Int?
            let heightRatio: Double?
            let widthRatio: Double?
            let odd: String?
        }

        let channels: Int
        let size: Size
        let alpha: String
        let steps: [Step]
    }

    // edgepack:end
    // edgepack:if audio
    struct Audio: Decodable, Sendable {
        struct Features: Decodable, Sendable {
            let kind: String
            let normalize: Bool?
            let maxSamples: Int?
        }

        let input: String
        let samplingRate: Int
        let minSamples: Int
        let features: Features
    }

    // edgepack:end
    // edgepack:if generation
    struct Generation: Decodable, Sendable {
        let maxLength: Int
        let eosIds: [Int]
        let vocabulary: Int
        let repetitionPenalty: Double
    }

    // edgepack:end
    // edgepack:if diffusion
    struct Diffusion: Decodable, Sendable {
        let scalingFactor: Float
        let steps: Int
        let guidance: Float
    }

    struct Schedule: Decodable, Sendable {
        let algorithm: String
    }

    // edgepack:end
    struct Answer: Decodable, Sendable {
        let output: String?
        let similarity: String?
        let labels: [String]?
        let problemType: String?
        let maskToken: String?
        let maskId: Int?
        let textOutput: String?
        let imageOutput: String?
        let scale: Float?
        let template: String?
    }

    let name: String
    let task: String
    let files: [String: File]
    let models: [String: Model]
    let processing: Processing
}
