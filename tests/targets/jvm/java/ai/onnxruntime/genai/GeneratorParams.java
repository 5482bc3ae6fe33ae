package ai.onnxruntime.genai;

import org.json.JSONException;
import org.json.JSONObject;

public final class GeneratorParams implements AutoCloseable {
    final JSONObject options = new JSONObject();

    public GeneratorParams(Model model) throws GenAIException {}

    public void setSearchOption(String optionName, double value) throws GenAIException {
        put(optionName, value);
    }

    public void setSearchOption(String optionName, boolean value) throws GenAIException {
        put(optionName, value);
    }

    private void put(String name, Object value) {
        try {
            options.put(name, value);
        } catch (JSONException error) {
            throw new IllegalStateException(error);
        }
    }

    @Override
    public void close() {}
}
